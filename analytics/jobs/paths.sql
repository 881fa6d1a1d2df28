-- Runs of three and of four zones, by the hour of the last arrival. All arrivals of a run are within twelve hours.
with threes as (
  select last.device, last.kind, last.entered, mid.origin_entered as first_entered, mid.origin as first_origin,
    mid.entered as mid_entered, concat(mid.origin, '>', mid.zone, '>', last.zone) as path, last.zone, 3 as zones
  from links as last
  join links as mid on mid.device = last.device and mid.zone = last.origin and mid.entered = last.origin_entered
  where last.entered >= :start and last.entered < :end and mid.entered >= last.entered - 43200000
),
fours as (
  select threes.device, threes.kind, threes.entered, concat(links.origin, '>', threes.path) as path, threes.zone, 4 as zones
  from threes
  join links on links.device = threes.device and links.zone = threes.first_origin
    and links.entered = threes.first_entered
  where links.entered >= threes.entered - 43200000
),
runs as (
  select device, kind, entered, path, zones from threes
  union all
  select device, kind, entered, path, zones from fours
)
select path, kind, entered - entered % 3600000 as at_ms, max(zones) as zones,
  count(*) as count, count(distinct device) as devices
from runs
group by path, kind, entered - entered % 3600000
