-- Of each visit, where the device was last before: in which other zone, up to :pause earlier. Zones of which one holds
-- the other are not compared, nor is the campus. Several where it left several at once, as a room and its building.
with arrivals as (
  select device, kind, zone, entered
  from stays
  where entered >= :first and entered < :end and zone <> campus
),
earlier as (
  select arrivals.device, arrivals.kind, arrivals.zone, arrivals.entered,
    stays.zone as origin, stays.entered as origin_entered,
    rank() over (
      partition by arrivals.device, arrivals.zone, arrivals.entered
      order by least(stays.gone, arrivals.entered) desc
    ) as nth
  from arrivals
  join stays on stays.device = arrivals.device and stays.entered < arrivals.entered
    and stays.gone >= arrivals.entered - :pause and stays.zone <> stays.campus
  left join related on related.zone = arrivals.zone and related.other = stays.zone
  where related.zone is null
)
select device, kind, origin, origin_entered, zone, entered
from earlier
where nth = 1 and origin <> zone
