"""What a device has been seen in, so that each window counts it once, whatever comes twice, late or in another order.

    seen:{p}:{day}:{d}  hash        of a device, a hash for each day (`state.windows.day_of`):
                                    `{zone}:{b}`, b = 0 to 5: in which minutes of a sixth of the day it was there
                                    `{zone}`: it is counted in the 1d window whose noon is in this day
    life:{p}:{day}      string      until when all that is kept of the day lives, ms by the clock of Redis: what devices
                                    were seen in, the counters (`state.windows`), and this. Whoever counts in a day
                                    first sets it, to KEEP_MS after its end or after now, whichever is later
    lives:{p}           sorted set  the days of which something is kept -> the same time

What tells that a device is counted and the counters that it has raised lie in one partition, are written by one script
and end in the same moment: so a device is counted again only where a count begins anew.

The minutes of a sixth of a day are a byte for each five of them, whose lowest five bits are the minutes. Before them,
one byte says which five minutes are the first (0 to 47); what is before and after these is 0. So a visit of half an
hour takes seven bytes, and no field is longer than what Redis packs tightly (`hash-max-listpack-value`, 64).
"""

from typing import cast

from state.access import Right, access
from state.client import Redis
from state.windows import DAY_MS

ACCESS = {Right.ERASE: [access("lives:{p}", "ZRANGE"), access("seen:{p}:", "UNLINK")]}
KEEP_MS = 48 * 3_600_000
"""How long what is counted in a day can be added to after its end."""
BLOCK_MS = DAY_MS // 6
GROUP_MS = 5 * 60_000
_AT_ONCE = 1000


def seen_key(hash_tag: str, day: int, device: str) -> str:
    """What a device, by its hash, was seen in on one day."""
    return f"seen:{hash_tag}:{day}:{device}"


def life_key(hash_tag: str, day: int) -> str:
    """Until when all that is kept of a day lives."""
    return f"life:{hash_tag}:{day}"


def lives_key(hash_tag: str) -> str:
    """The days of which something is kept."""
    return f"lives:{hash_tag}"


async def forget_seen(client: Redis, hash_tag: str, device: str) -> int:
    """Forget what a device of a partition was seen in; in how many days it was. Raises UnavailableError.

    The counters stay, for they were right. A device that goes on sending is a new one: it is counted once more in
    windows that it was counted in.
    """
    days = cast("list[bytes]", await client.zrange(lives_key(hash_tag), 0, -1))
    gone = 0
    for first in range(0, len(days), _AT_ONCE):
        some = [seen_key(hash_tag, int(day), device) for day in days[first : first + _AT_ONCE]]
        gone += await client.unlink(*some)
    return gone
