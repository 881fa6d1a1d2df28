"""What a batch does to Redis, as one script that also acknowledges it."""

from collections import Counter
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple, cast
from zoneinfo import ZoneInfo

import msgspec

from core import streams
from core.messages import Kind, Position, encode_positions
from core.redis import Redis, redis_errors
from decoder.batch import Batch
from timeseries import Width, Window, nominal_ms, window_start

MOMENT_MS = 30_000
"""No window begins within half a minute that itself begins at a whole one: not even days of the oddest time zone."""
WINDOW_LIFE_MS = 48 * 3600 * 1000
"""How long after its last change a window's set is kept, beyond the width of the window."""
PRESENCE_KEEP_MS = 3600 * 1000
"""How long a zone's presence is kept without a new position, beyond PRESENCE_TTL: decoders tidy it long before."""


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
        devices = _by_device(batch.positions)
        packed = msgspec.msgpack.encode(
            {
                "group": streams.OBSERVE_GROUP,
                "entries": [entry_id.decode() for entry_id in entry_ids],
                "fence": batch.fence,
                "now": now,
                "ttl": self._ttl_ms,
                "keep": self._ttl_ms + PRESENCE_KEEP_MS,
                "speed": self._implausible_speed,
                "devices": list(devices.values()),
                "windows": self._windows(batch.positions, {device: number for number, device in enumerate(devices, 1)}),
                "totals": list(totals.items()),
                "letters": [2 * len(fields) for fields in letters],
                "letters_max": self._dead_letters_max,
            }
        )
        positions = encode_positions(batch.positions) if batch.positions else b""
        texts = [text for fields in letters for pair in fields.items() for text in pair]
        with redis_errors():
            answer = await self._script(
                keys=[streams.raw(partition), streams.positions(partition)], args=[packed, positions, *texts]
            )
        if answer is None:
            raise StaleFence
        return Applied(*cast("list[int]", answer))

    def _windows(self, positions: Sequence[Position], numbers: dict[str, int]) -> list[tuple[str, int, list[int]]]:
        # Many positions of a batch share their moment and place: each such group is spread over its windows once.
        together: dict[tuple[int, tuple[str, ...], Kind], set[int]] = {}
        for position in positions:
            moment = position.observed_at - position.observed_at % MOMENT_MS
            together.setdefault((moment, position.zones, position.kind), set()).add(numbers[position.device])
        windows: dict[tuple[Width, int, str, Kind], set[int]] = {}
        for (moment, zones, kind), devices in together.items():
            for width in Width:
                start = window_start(width, moment, self._zone)
                for zone in zones:
                    windows.setdefault((width, start, zone, kind), set()).update(devices)
        return [
            (Window(*window).member, nominal_ms[window[0]] + WINDOW_LIFE_MS, list(devices))
            for window, devices in windows.items()
        ]


Sighting = tuple[int, int, float, float, str]
"""Index in the batch, event time, longitude, latitude, ids of the zones joined by commas."""


def _by_device(positions: Sequence[Position]) -> dict[str, tuple[str, Kind, list[Sighting]]]:
    """The sightings of each device, in the order of their arrival."""
    devices: dict[str, tuple[str, Kind, list[Sighting]]] = {}
    joined: dict[tuple[str, ...], str] = {}
    for index, position in enumerate(positions):
        zones = joined.get(position.zones)
        if zones is None:
            zones = joined[position.zones] = ",".join(position.zones)
        sighting = (index, position.observed_at, position.longitude, position.latitude, zones)
        known = devices.get(position.device)
        if known is None:
            devices[position.device] = (position.device, position.kind, [sighting])
        else:
            known[2].append(sighting)
    return devices
