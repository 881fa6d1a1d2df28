"""What a batch does to Redis: in one script that also acknowledges it, or in several, of which the last one does."""

from collections import Counter
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

import msgspec

from core.clock import AHEAD_MS
from core.errors import Reason
from core.messages import DeadLetter, encode_positions
from decoder.batch import Batch
from decoder.parts import Part, parts
from state import streams
from state.client import Redis, redis_errors

PRESENCE_KEEP_MS = 3600 * 1000
"""How long a zone's presence is kept without a new position, beyond PRESENCE_TTL: decoders tidy it long before."""

_UNREADABLE = "the newest position of a device, as no decoder of this version writes it"


def script(name: str) -> str:
    """The text of one of this package's Lua scripts."""
    return resources.files("decoder").joinpath(f"{name}.lua").read_text(encoding="utf-8")


class Applied(NamedTuple):
    """What the scripts answer."""

    entries: int
    """Raw entries that were acknowledged; 0 if the whole batch had been done before."""
    unreadable: int
    """Values of Redis that could not be read: each has become a dead letter."""
    implausible: int
    """Positions that were marked."""


class StaleFence(Exception):  # noqa: N818 - it names what is wrong
    """The campus has changed since the batch was fenced: it is not acknowledged, and must be decoded again."""


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
        self._script = client.register_script(script("trim") + script("effects"))
        self._trim = client.register_script(script("trim") + "return trim(KEYS[1])")

    async def apply(self, batch: Batch, *, partition: int, entry_ids: Sequence[bytes], now: int) -> Applied:
        """Do all that a batch does, and acknowledge the raw entries that it came from, in scripts of bounded work.

        What must be done once is done together with the acknowledgement, in the last of them. Those before it only add
        to presence and windows: to do that again changes nothing. `now` is in milliseconds since the epoch. Raises
        StaleFence. Raises Unavailable if Redis does not answer: it may be done or not, and is to be tried again.
        """
        letters = [letter.encode() for letter in batch.dead]
        totals = batch.totals + Counter(f"dead:{letter.reason}" for letter in batch.dead)
        texts = [text for fields in letters for pair in fields.items() for text in pair]
        once = len(entry_ids) + len(letters) + len(totals)
        found = parts(batch.positions, batch.outside, away=self._away, zone=self._zone, last=once)
        marked: list[int] = []
        first = unreadable = 0
        for part in found[:-1]:
            _, new, implausible, _ = await self._run(part, {"last": False}, batch.fence, partition, now)
            unreadable += new
            marked += [first + index for index in implausible]
            first += part.positions
        last = {
            "last": True,
            "group": streams.OBSERVE_GROUP,
            "entries": [entry_id.decode() for entry_id in entry_ids],
            "marked": marked,
            "first": first,
            "totals": list(totals.items()),
            "letters": [2 * len(fields) for fields in letters],
        }
        encoded = encode_positions(batch.positions) if batch.positions else b""
        entries, new, implausible, left = await self._run(found[-1], last, batch.fence, partition, now, encoded, *texts)
        with redis_errors():
            while left:
                left = await self._trim(keys=[streams.raw(partition)])
        return Applied(entries, unreadable + new, len(marked) + len(implausible))

    async def _run(
        self, part: Part, more: dict[str, Any], fence: str, partition: int, now: int, *texts: Any
    ) -> tuple[int, int, list[int], int]:
        """The script; what it answers is told in its own text."""
        letter = DeadLetter(Reason.MALFORMED_ENTRY, _UNREADABLE, "", now, payload=None)
        packed = msgspec.msgpack.encode(
            {
                **part.fields,
                **more,
                "fence": fence,
                "now": now,
                "ttl": self._ttl_ms,
                "keep": self._ttl_ms + PRESENCE_KEEP_MS,
                "ahead": AHEAD_MS,
                "speed": self._implausible_speed,
                "letters_max": self._dead_letters_max,
                "unreadable": (
                    [str(text) for pair in letter.encode().items() for text in pair],
                    f"{streams.DEAD_TOTAL}{letter.reason}",
                ),
            }
        )
        with redis_errors():
            answer = await self._script(
                keys=[streams.raw(partition), streams.positions(partition)], args=[packed, *(texts or (b"",))]
            )
        if answer is None:
            raise StaleFence
        return cast("tuple[int, int, list[int], int]", answer)
