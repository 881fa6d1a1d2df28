"""Who is where, now: read from the sorted sets that the decoder keeps."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from core.clock import AHEAD_MS
from core.messages import Kind
from state import streams
from state.client import Redis, redis_errors


@dataclass(frozen=True, slots=True)
class Presence:
    """The devices of one kind that are in one zone now."""

    devices: int
    observed_at: int | None
    """Event time of the newest position there, milliseconds since the epoch; None when nobody is present."""


async def presence_now(client: Redis, zones: Iterable[str], *, now: int, ttl: int) -> dict[str, dict[Kind, Presence]]:
    """Presence by zone and kind at `now` (milliseconds since the epoch), in one round trip.

    A device counts from its newest position on, for `ttl` seconds. One that is further ahead than clocks may be says
    nothing: somebody's clock was wrong. Raises Unavailable if Redis does not answer.
    """
    wanted = [(zone, kind) for zone in zones for kind in Kind]
    oldest, latest = f"({now - ttl * 1000}", now + AHEAD_MS
    async with client.pipeline(transaction=False) as pipeline:
        for zone, kind in wanted:
            key = streams.presence(zone, kind)
            pipeline.zcount(key, oldest, latest)
            pipeline.zrevrangebyscore(key, latest, oldest, start=0, num=1, withscores=True)
        with redis_errors():
            answers = await pipeline.execute()
    result: dict[str, dict[Kind, Presence]] = {}
    for (zone, kind), count, newest in zip(wanted, answers[::2], answers[1::2], strict=True):
        observed_at = int(newest[0][1]) if newest else None
        result.setdefault(zone, {})[kind] = Presence(devices=count, observed_at=observed_at)
    return result


def zones_of_newest(newest: bytes) -> list[str]:
    """The ids of the zones in a value of `device:{d}` (`state.streams`). Raises msgspec.DecodeError for other bytes."""
    _, _, _, zones = msgspec.msgpack.decode(newest, type=tuple[int, float, float, str])
    return zones.split(",")
