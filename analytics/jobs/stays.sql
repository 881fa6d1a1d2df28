-- The visits: `entered` and `gone` are milliseconds since the epoch.
-- A position holds its zones until the device is seen next, or for as long as a device is present after its newest
-- position. What touches, of one device, kind and zone, is one visit.
with spans as (
  select device, kind, zone, campus, seen as entered, least(coalesce(following, seen + :ttl), seen + :ttl) as gone
  from position_zones
),
begun as (
  select device, kind, zone, campus, entered, gone,
    case when lag(gone) over (partition by device, kind, zone order by entered) = entered then 0 else 1 end as begins
  from spans
),
numbered as (
  select device, kind, zone, campus, entered, gone,
    sum(begins) over (partition by device, kind, zone order by entered rows unbounded preceding) as visit
  from begun
)
select device, kind, zone, min(campus) as campus, min(entered) as entered, max(gone) as gone
from numbered
group by device, kind, zone, visit
