"""What a batch does to Redis, as one script that also acknowledges it."""

from collections import Counter
from collections.abc import Sequence
from importlib import resources
from zoneinfo import ZoneInfo

import msgspec

from core import streams
from core.messages import Position, encode_positions
from core.redis import Redis, redis_errors
from decoder.batch import Batch
from timeseries import Width, Window, nominal_ms, window_start

WINDOW_LIFE_MS = 48 * 3600 * 1000
"""How long after its last change a window's set is kept, beyond the width of the window."""
PRESENCE_KEEP_MS = 3600 * 1000
"""How long a zone's presence is kept without a new position, beyond PRESENCE_TTL: decoders tidy it long before."""


def script(name: str) -> str:
    """The text of one of this package's Lua scripts."""
    return resources.files("decoder").joinpath(f"{name}.lua").read_text(encoding="utf-8")


class Effects:
    """Applies batches; one for each partition is as good as one for all."""

    def __init__(self, *, client: Redis, zone: ZoneInfo, presence_ttl: int, dead_letters_max: int) -> None:
        """`zone` is the time zone whose days the 1d windows are; `presence_ttl` is in seconds."""
        self._zone = zone
        self._ttl_ms = presence_ttl * 1000
        self._dead_letters_max = dead_letters_max
        self._script = client.register_script(script("effects"))

    async def apply(self, batch: Batch, *, partition: int, entry_ids: Sequence[bytes], now: int) -> None:
        """Do all that a batch does, and acknowledge the raw entries that it came from: together or not at all.

        `now` is in milliseconds since the epoch. Raises Unavailable if Redis does not answer: it may be done or not,
        and is to be tried again, for nothing is done for entries that are acknowledged already.
        """
        letters = [letter.encode() for letter in batch.dead]
        totals = batch.totals + Counter(f"dead:{letter.reason}" for letter in batch.dead)
        packed = msgspec.msgpack.encode(
            {
                "group": streams.OBSERVE_GROUP,
                "entries": [entry_id.decode() for entry_id in entry_ids],
                "now": now,
                "ttl": self._ttl_ms,
                "keep": self._ttl_ms + PRESENCE_KEEP_MS,
                "devices": self._newest(batch.positions, now),
                "windows": self._windows(batch.positions),
                "totals": list(totals.items()),
                "letters": [2 * len(fields) for fields in letters],
                "letters_max": self._dead_letters_max,
            }
        )
        positions = encode_positions(batch.positions) if batch.positions else b""
        texts = [text for fields in letters for pair in fields.items() for text in pair]
        with redis_errors():
            await self._script(
                keys=[streams.raw(partition), streams.positions(partition)], args=[packed, positions, *texts]
            )

    def _newest(self, positions: Sequence[Position], now: int) -> list[tuple[str, str, int, str]]:
        """The newest position of each device, where it is recent enough for presence."""
        newest: dict[str, tuple[str, str, int, str]] = {}
        for position in positions:
            if position.observed_at <= now - self._ttl_ms:
                continue
            entry = (position.device, position.kind.value, position.observed_at, ",".join(position.zones))
            known = newest.get(position.device)
            if known is None or entry[2:] > known[2:]:
                newest[position.device] = entry
        return list(newest.values())

    def _windows(self, positions: Sequence[Position]) -> list[tuple[str, int, list[str]]]:
        windows: dict[Window, set[str]] = {}
        for position in positions:
            for width in Width:
                start = window_start(width, position.observed_at, self._zone)
                for zone in position.zones:
                    windows.setdefault(Window(width, start, zone, position.kind), set()).add(position.device)
        return [
            (window.member, nominal_ms[window.width] + WINDOW_LIFE_MS, sorted(devices))
            for window, devices in windows.items()
        ]
