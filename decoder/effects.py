"""What a batch does to Redis, as one script that also acknowledges it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import NamedTuple, TypeVar, cast
from zoneinfo import ZoneInfo

import msgspec

from core import streams
from core.messages import encode_positions
from core.redis import Redis, redis_errors
from decoder.batch import Batch
from decoder.spans import spans

PRESENCE_KEEP_MS = 3600 * 1000
"""How long a zone's presence is kept without a new position, beyond PRESENCE_TTL: decoders tidy it long before."""
Name = TypeVar("Name", str, tuple[str, ...])


def script(name: str) -> str:
    """The text of one of this package's Lua scripts."""
    return resources.files("decoder").joinpath(f"{name}.lua").read_text(encoding="utf-8")


class Applied(NamedTuple):
    """What the script answers."""

    entries: int
    """Raw entries that were acknowledged; 0 if the whole batch had been done before."""
    implausible: int
    """Positions that were marked."""


class StaleFence(Exception):  # noqa: N818 - it names what is wrong
    """The campus has changed since the batch was fenced: nothing was done, and it must be decoded again."""


class Effects:
    """Applies batches; one for each partition is as good as one for all."""

    def __init__(
        self,
        *,
        client: Redis,
        zone: ZoneInfo,
        presence_ttl: int,
        dead_letters_max: int,
        implausible_speed: float,
    ) -> None:
        """`zone` is whose days the 1d windows are; `presence_ttl` is in seconds, `implausible_speed` in m/s."""
        self._zone = zone
        self._ttl_ms = presence_ttl * 1000
        self._dead_letters_max = dead_letters_max
        self._implausible_speed = implausible_speed
        self._script = client.register_script(script("trim") + script("effects"))

    async def apply(self, batch: Batch, *, partition: int, entry_ids: Sequence[bytes], now: int) -> Applied:
        """Do all that a batch does, and acknowledge the raw entries that it came from: together or not at all.

        `now` is in milliseconds since the epoch. Raises StaleFence. Raises Unavailable if Redis does not answer: it may
        be done or not, and is to be tried again, for nothing is done for entries that are acknowledged already.
        """
        letters = [letter.encode() for letter in batch.dead]
        totals = batch.totals + Counter(f"dead:{letter.reason}" for letter in batch.dead)
        positions = batch.positions
        numbers = _numbers(position.device for position in positions)
        kinds = {position.device: position.kind for position in positions}
        places = _numbers(position.zones for position in positions)
        packed = msgspec.msgpack.encode(
            {
                "group": streams.OBSERVE_GROUP,
                "entries": [entry_id.decode() for entry_id in entry_ids],
                "fence": batch.fence,
                "now": now,
                "ttl": self._ttl_ms,
                "keep": self._ttl_ms + PRESENCE_KEEP_MS,
                "speed": self._implausible_speed,
                "devices": list(numbers),
                "kinds": list(kinds.values()),
                "places": [",".join(zones) for zones in places],
                "device": [numbers[position.device] for position in positions],
                "place": [places[position.zones] for position in positions],
                "at": [position.observed_at for position in positions],
                "longitude": [position.longitude for position in positions],
                "latitude": [position.latitude for position in positions],
                "spans": spans(positions, numbers, self._zone),
                "totals": list(totals.items()),
                "letters": [2 * len(fields) for fields in letters],
                "letters_max": self._dead_letters_max,
            }
        )
        encoded = encode_positions(positions) if positions else b""
        texts = [text for fields in letters for pair in fields.items() for text in pair]
        with redis_errors():
            answer = await self._script(
                keys=[streams.raw(partition), streams.positions(partition)], args=[packed, encoded, *texts]
            )
        if answer is None:
            raise StaleFence
        return Applied(*cast("list[int]", answer))


def _numbers(names: Iterable[Name]) -> dict[Name, int]:
    """Each name, with a number from 1, in the order in which they first come."""
    numbers: dict[Name, int] = {}
    for name in names:
        numbers.setdefault(name, len(numbers) + 1)
    return numbers
