"""Who is where, now: what the decoder has counted, a sorted set for each zone and kind in each partition.

    presence:{p}:{zone}:{kind}  sorted set  devices of one partition -> event time (ms) of their newest position there.
                                 Present now are those younger than PRESENCE_TTL, and not more than five minutes ahead.
                                 Partitions add up
    touched:{p}        sorted set  `{zone}:{kind}` -> the number of the newest change of that presence set
    touched:{p}:at     integer  the number of the newest change of all. Whoever changes presence sets raises it, and
                                notes them in `touched:{p}` with the new number, in the same script
    touched:{p}:life   string   a random text, put there by the first reader that finds none: while it is the same,
                                nobody has emptied this Redis

`state.presence_reader` reads again only what has changed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from core.clock import AHEAD_MS
from core.kinds import KindId, Kinds
from state.access import Right, access
from state.client import Redis
from state.lua import lua
from state.slots import guard, tag

ACCESS = {Right.READ: [access("presence:{p}:", "EVAL ZCOUNT ZRANGEBYSCORE ZREVRANGEBYSCORE")]}
SETS_AT_ONCE = 500
"""Presence sets that one script reads, in some milliseconds of Redis."""

Pair = tuple[str, KindId]
"""A zone, and a kind of device: each has a presence set in each partition."""


@dataclass(frozen=True, slots=True)
class Presence:
    """The devices of one kind that are in one zone now."""

    devices: int
    observed_at: int | None
    """Event time of the newest position there, milliseconds since the epoch; None when nobody is present."""


NOBODY = Presence(devices=0, observed_at=None)


class PresenceOfPartition(NamedTuple):
    """What one partition has of a presence set. Times are in milliseconds since the epoch."""

    devices: int
    observed_at: int
    """-1 when nobody is present."""
    changes_at: int | None
    """When time alone changes it, as somebody is there for too long, or no more ahead of time; None: it does not."""


def presence_key(hash_tag: str, zone: str, kind: str) -> str:
    """The devices of one kind in a zone, of the partition with this tag (`state.slots`)."""
    return f"presence:{hash_tag}:{zone}:{kind}"


def touched_key(hash_tag: str) -> str:
    """Which presence sets of a partition have changed, and when."""
    return f"touched:{hash_tag}"


def touched_at_key(hash_tag: str) -> str:
    """The number of a partition's newest change."""
    return f"touched:{hash_tag}:at"


def life_key(hash_tag: str) -> str:
    """What is another one once Redis was emptied."""
    return f"touched:{hash_tag}:life"


def presence_tags(partitions: int) -> list[str]:
    """The tags of the partitions that have presence sets."""
    return [tag(partition, partitions) for partition in range(partitions)]


async def read_partition(
    client: Redis, hash_tag: str, pairs: Sequence[Pair], *, now: int, ttl: int
) -> list[PresenceOfPartition]:
    """What a partition has of at most `SETS_AT_ONCE` pairs, at `now` (ms since the epoch). Raises UnavailableError.

    `ttl` is PRESENCE_TTL, in seconds.
    """
    oldest, latest = now - ttl * 1000, now + AHEAD_MS
    keys = [guard(hash_tag), *(presence_key(hash_tag, zone, kind) for zone, kind in pairs)]
    answer = await client.register_script(lua("presence"))(keys=keys, args=[oldest, latest])
    numbers = iter(cast("list[int]", answer))
    found = []
    for devices, newest, first, ahead in zip(numbers, numbers, numbers, numbers, strict=True):
        changes = [first + ttl * 1000] if devices else []
        changes += [ahead - AHEAD_MS] if ahead >= 0 else []
        found.append(PresenceOfPartition(devices, newest, min(changes, default=None)))
    return found


def added_up(parts: Iterable[PresenceOfPartition]) -> Presence:
    """A presence set of all partitions."""
    devices, newest = 0, -1
    for part in parts:
        devices += part.devices
        newest = max(newest, part.observed_at)
    return Presence(devices, newest) if devices else NOBODY


async def presence_now(
    client: Redis, zones: Iterable[str], kinds: Kinds, *, now: int, ttl: int, partitions: int
) -> dict[str, dict[KindId, Presence]]:
    """Presence by zone and kind at `now` (milliseconds since the epoch), all of it read.

    A device counts from its newest position on, for `ttl` seconds. One that is further ahead than clocks may be says
    nothing: somebody's clock was wrong. Raises UnavailableError if Redis does not answer.
    """
    wanted = [(zone, kind) for zone in zones for kind in kinds.ids]
    parts: dict[Pair, list[PresenceOfPartition]] = {pair: [] for pair in wanted}
    for hash_tag in presence_tags(partitions):
        for start in range(0, len(wanted), SETS_AT_ONCE):
            some = wanted[start : start + SETS_AT_ONCE]
            found = await read_partition(client, hash_tag, some, now=now, ttl=ttl)
            for pair, part in zip(some, found, strict=True):
                parts[pair].append(part)
    result: dict[str, dict[KindId, Presence]] = {}
    for (zone, kind), of_pair in parts.items():
        result.setdefault(zone, {})[kind] = added_up(of_pair)
    return result
