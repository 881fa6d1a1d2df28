-- The positions that say where a device was: no repeats, none of a clock that is ahead, none too inaccurate to count.
-- `zones` is a text, joined by commas; `following` is when the device was seen next, null where that is not known.
-- Of two positions of a device and a millisecond the one with the greater zones counts, as it does for presence.
with counted as (
  select device, min(kind) as kind, observed as seen, max(zones) as zones
  from raw_positions
  where observed >= :since and observed < :until and observed <= received + :ahead and zones <> ''
  group by device, observed
)
select device, kind, seen, zones, lead(seen) over (partition by device order by seen) as following
from counted
