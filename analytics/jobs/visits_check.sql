-- What entries and exits of each hour add up to, beside how presence changed in it: by a query of its own, which goes by
-- the newest position before each whole hour and knows nothing of visits. A row is an hour in which they differ.
with newest as (
  select moments.moment, positions.device, max(positions.seen) as seen
  from moments
  join positions on positions.seen < moments.moment and positions.seen >= moments.moment - :ttl
  group by moments.moment, positions.device
),
present as (
  select newest.moment, position_zones.zone, position_zones.kind, count(*) as devices
  from newest
  join position_zones on position_zones.device = newest.device and position_zones.seen = newest.seen
  group by newest.moment, position_zones.zone, position_zones.kind
),
changes as (
  select zone, kind, moment as hour, devices as before, 0 as after, 0 as entries, 0 as exits
  from present
  union all
  select zone, kind, moment - 3600000 as hour, 0 as before, devices as after, 0 as entries, 0 as exits
  from present
  union all
  select zone, kind, at_ms as hour, 0 as before, 0 as after, entries, exits
  from visit_hours
),
hours_of as (
  select zone, kind, hour, sum(before) as before, sum(after) as after, sum(entries) as entries, sum(exits) as exits
  from changes
  where hour >= :start and hour < :end
  group by zone, kind, hour
)
select zone, kind, '' as other, hour as at_ms, entries, exits, before, after
from hours_of
where entries - exits <> after - before
