"""All zones at one moment, as the bytes that answers are made of.

What all bodies of a moment share, such as when they were read, stands at the end of each: it is written once, and a
zone's own part only when that changes. Bodies are put together for those who ask.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from api.occupancy.newest_input import InputWatch
from geofence import Zone


@dataclass(frozen=True, slots=True, eq=False)
class ZonePart:
    """What a body says of one zone alone. As long as that is the same, it is the same object."""

    json: bytes
    """The beginning of a JSON object: its brace is open."""
    category: str | None = None
    total: int | None = None
    """As it may be shown."""


class TakesSnapshots(Protocol):
    """Whoever knows the counts, true or released ones. Raises UnavailableError if Redis does not answer in time."""

    input: InputWatch
    """Whether positions come in."""

    async def take(self) -> "Snapshot":
        """All zones as they are now."""

    async def take_zone(self, zone: Zone) -> bytes:
        """What GET answers about this zone alone, as it is now."""


class Snapshot:
    """All zones, as they were at one moment. It never changes."""

    def __init__(
        self,
        *,
        at: int,
        version: str,
        shared: bytes,
        zones: Mapping[str, int],
        parts: Sequence[ZonePart],
        stale: str | None = None,
        told_at: int | None = None,
    ) -> None:
        """`shared` are the members that end each body, as JSON without braces; `zones` says where `parts` has each."""
        self.at = at
        """When it was taken, milliseconds since the epoch."""
        self.told_at = at if told_at is None else told_at
        """When its counts are said to be of: the same, or the slot in which they were released."""
        self.version = version
        """Of the campus."""
        self.stale = stale
        """Why its counts cannot be those of now; None where nothing is known against them."""
        self.zones = zones
        """Ids of the zones, in the order of /v1/zones."""
        self.parts = parts
        self._begin = b"{" + shared + b',"zones":['
        self._end = b"," + shared + b"}"

    @cached_property
    def everything(self) -> bytes:
        """What GET /v1/occupancy answers."""
        return self.whole(self.parts)

    @property
    def everything_bytes(self) -> int:
        """How long that is, whether or not anybody has asked for it."""
        separators = max(0, len(self.parts) - 1)
        of_zones = sum([len(part.json) for part in self.parts]) + len(self.parts) * len(self._end)
        return len(self._begin) + of_zones + separators + len(b"]}")

    def zone(self, zone: str) -> bytes | None:
        """What GET answers about one zone; None where there is none of this id."""
        at = self.zones.get(zone)
        return None if at is None else self.one(self.parts[at])

    def one(self, part: ZonePart) -> bytes:
        """The body about one zone of which this is said."""
        return part.json + self._end

    def of(self, zones: Container[str]) -> bytes:
        """What GET /v1/occupancy would answer if these zones were all."""
        return self.whole([self.parts[at] for zone, at in self.zones.items() if zone in zones])

    def whole(self, parts: Iterable[ZonePart]) -> bytes:
        """The body about several zones, in the order of `parts`."""
        bodies = (self._end + b",").join([part.json for part in parts])
        return b"".join((self._begin, bodies, self._end if bodies else b"", b"]}"))

    def changed_since(self, before: "Snapshot") -> list[str]:
        """The ids of the zones about which something else is said than before, or that are new.

        Time alone is no change. That counts are doubted, or not any more, changes what is said of every zone.
        """
        if self.stale != before.stale:
            return [*self.zones]
        if self.parts is before.parts:
            return []
        if self.zones is before.zones:
            old: Iterable[ZonePart | None] = before.parts
        else:
            places = map(before.zones.get, self.zones)
            old = (None if at is None else before.parts[at] for at in places)
        return [zone for zone, part, earlier in zip(self.zones, self.parts, old, strict=True) if part is not earlier]
