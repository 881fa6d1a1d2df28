-- From where to where devices went, by the hour in which they arrived.
select origin as zone, kind, zone as other, entered - entered % 3600000 as at_ms,
  count(*) as count, count(distinct device) as devices
from links
where entered >= :start and entered < :end
group by origin, kind, zone, entered - entered % 3600000
