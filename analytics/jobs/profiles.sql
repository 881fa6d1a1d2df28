-- What an hour of the week is usually like: quartiles of the devices, over hours that were recorded nearly as a whole.
-- Days by the calendar: those of terms and holidays apart. An hour that was recorded and has no window had no devices.
with counted as (
  select zone, kind, start_ms, devices,
    row_number() over (partition by zone, kind, start_ms order by written desc, devices desc) as nth
  from raw_occupancy
  where width = '1h' and start_ms >= :start and start_ms < :end
),
recorded as (
  select zone, kind, hour, bit_count(bit_or(minutes)) as minutes
  from raw_coverage
  where hour >= :start and hour < :end
  group by zone, kind, hour
),
each_hour as (
  select recorded.zone, recorded.kind, hours.days, hours.week_ms, coalesce(counted.devices, 0) as devices
  from recorded
  join hours on hours.at_ms = recorded.hour
  left join counted on counted.nth = 1 and counted.zone = recorded.zone and counted.kind = recorded.kind
    and counted.start_ms = recorded.hour
  where recorded.minutes >= :least
)
select zone, kind, days as other, week_ms as at_ms,
  percentile_cont(0.25) within group (order by devices) as q1,
  percentile_cont(0.5) within group (order by devices) as median,
  percentile_cont(0.75) within group (order by devices) as q3,
  count(*) as hours
from each_hour
group by zone, kind, days, week_ms
