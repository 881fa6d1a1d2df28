-- Visits by zone, kind and hour: entries in the hour in which they were, exits and how long they had been in that of
-- the exit. A visit of more than a day is cut: it counts as an exit, and how long it was is not known.
with moments as (
  select zone, kind, device, entered, entered - entered % 3600000 as hour, 1 as entry, 0 as leaving, gone
  from stays
  where entered >= :start and entered < :end
  union all
  select zone, kind, device, entered, gone - gone % 3600000 as hour, 0 as entry, 1 as leaving, gone
  from stays
  where gone >= :start and gone < :end
),
each_visit as (
  select zone, kind, hour, device, entered, max(entry) as entry, max(leaving) as leaving,
    max(case when leaving = 1 and gone - entered <= :longest then cast(gone - entered as double) / 1000 end) as dwell,
    max(case when leaving = 1 and gone - entered > :longest then 1 else 0 end) as cut
  from moments
  group by zone, kind, hour, device, entered
)
select zone, kind, '' as other, hour as at_ms, sum(entry) as entries, sum(leaving) as exits,
  count(distinct device) as devices, count(*) as visits,
  percentile_cont(0.25) within group (order by dwell) as dwell_q1,
  percentile_cont(0.5) within group (order by dwell) as dwell_median,
  percentile_cont(0.75) within group (order by dwell) as dwell_q3,
  count(distinct case when dwell is not null then device end) as dwell_devices,
  sum(cut) as cut
from each_visit
group by zone, kind, hour
