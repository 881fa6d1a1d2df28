"""What a batch does to presence and windows: in one script or in several. To do it again does no harm."""

from collections.abc import Callable
from importlib import resources
from typing import NamedTuple, cast
from zoneinfo import ZoneInfo

import msgspec

from core.clock import AHEAD_MS
from core.errors import Reason
from core.messages import DeadLetter
from decoder.batch import Batch
from decoder.parts import Part, parts
from state.client import Redis, redis_errors
from state.lua import lua
from state.slots import CAMPUS
from state.totals import DEAD_TOTAL, dead_key, totals_key

PRESENCE_KEEP_MS = 3600 * 1000
"""How long a zone's presence is kept without a new position, beyond PRESENCE_TTL: decoders tidy it long before."""

_UNREADABLE = "the newest position of a device, as no decoder of this version writes it"


def script(name: str) -> str:
    """The text of one of this package's Lua scripts."""
    return resources.files("decoder").joinpath(f"{name}.lua").read_text(encoding="utf-8")


class Applied(NamedTuple):
    """What the scripts answer."""

    unreadable: int
    """Values of Redis that could not be read: each has become a dead letter."""
    implausible: list[int]
    """Indices of the positions that are to be marked."""


class StaleFence(Exception):  # noqa: N818 - it names what is wrong
    """The campus has changed since the batch was fenced: it must be decoded again."""


class Effects:
    """Applies batches; one for each partition is as good as one for all."""

    def __init__(
        self,
        *,
        client: Redis,
        zone: ZoneInfo,
        away: Callable[[str], str],
        presence_ttl: int,
        dead_letters_max: int,
        implausible_speed: float,
    ) -> None:
        """`zone` is whose days the 1d windows are; `presence_ttl` is in seconds, `implausible_speed` in m/s.

        `away` makes the second hash of a device (`core.devices`).
        """
        self._zone = zone
        self._away = away
        self._ttl_ms = presence_ttl * 1000
        self._dead_letters_max = dead_letters_max
        self._implausible_speed = implausible_speed
        self._script = client.register_script(lua("totals") + script("effects"))

    async def apply(self, batch: Batch, *, now: int) -> Applied:
        """Add a batch to presence and windows, in scripts of bounded work; what is done once is `state.raw`'s.

        `now` is in milliseconds since the epoch. Raises StaleFence. Raises Unavailable if Redis does not answer: it may
        be done or not, and is to be tried again.
        """
        implausible: list[int] = []
        first = unreadable = 0
        for part in parts(batch.positions, batch.outside, away=self._away, zone=self._zone):
            new, marked = await self._run(part, batch.fence, now)
            unreadable += new
            implausible += [first + index for index in marked]
            first += part.positions
        return Applied(unreadable, implausible)

    async def _run(self, part: Part, fence: str, now: int) -> tuple[int, list[int]]:
        """The script; what it answers is told in its own text."""
        letter = DeadLetter(Reason.MALFORMED_ENTRY, _UNREADABLE, "", now, payload=None)
        packed = msgspec.msgpack.encode(
            {
                **part.fields,
                "fence": fence,
                "now": now,
                "ttl": self._ttl_ms,
                "keep": self._ttl_ms + PRESENCE_KEEP_MS,
                "ahead": AHEAD_MS,
                "speed": self._implausible_speed,
                "letters_max": self._dead_letters_max,
                "unreadable": (
                    [str(text) for pair in letter.encode().items() for text in pair],
                    f"{DEAD_TOTAL}{letter.reason}",
                ),
            }
        )
        with redis_errors():
            answer = await self._script(keys=[dead_key(CAMPUS), totals_key(CAMPUS)], args=[packed])
        if answer is None:
            raise StaleFence
        return cast("tuple[int, list[int]]", answer)
