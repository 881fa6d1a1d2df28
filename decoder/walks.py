"""What one slot makes of the walks of all zones (`disclosure.walk`), and of the windows that are made of them; pure.

Nothing here depends on a true count but through `disclosure.walk.moved`: not which zones are told, not when, and not
which windows. Means of released counts cost nothing (decision 66).
"""

from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo

import msgspec

from core.kinds import KindId
from core.unreadable import UNREADABLE
from core.windows import Width, window_end, windows_between
from disclosure.policy import Policy
from disclosure.walk import Draw, Walk, begun, moved
from state.released import Released, ReleasedWindow

HOUR_MS = 3_600_000
LOST_MS = HOUR_MS
"""Walks that are older were not gone on with for long, or come from a copy: their thresholds are drawn anew, for one
that has told something once must not do so again beside an older count."""

Present = Callable[[str, KindId], int]
"""How many devices of a kind are truly in a zone."""


class ZoneWalks(msgspec.Struct, array_like=True):
    """The walks of a zone."""

    shape: str
    """What its outline comes to: in another one, other people are."""
    since: int
    """From when on its counts are looked at, ms since the epoch."""
    walks: dict[str, Walk]
    """By kind."""
    width: int = 0
    """Among how many their thresholds were drawn; 0: not known."""


class OpenWindow(msgspec.Struct, array_like=True):
    """A window that is not over; times are in milliseconds, since the epoch where they are moments."""

    width: Width
    start: int
    end: int
    told: int
    """For how long counts were told in it."""
    recorded: bool
    """Whether anything could have come in meanwhile."""
    sums: dict[str, int]
    """By `zone:kind`, of released counts times how long they were told; without those that are 0."""

    def over(self) -> ReleasedWindow:
        """What becomes of it."""
        means = {name: round(total / self.told) for name, total in self.sums.items()}
        return ReleasedWindow(
            self.width, self.start, self.recorded, {name: mean for name, mean in means.items() if mean}
        )


class Walks(msgspec.Struct, array_like=True):
    """All that is to be known of one slot to go on with the next. Secret."""

    at: int
    """When the slot began, ms since the epoch."""
    zones: dict[str, ZoneWalks]
    windows: list[OpenWindow]


_LOST = -1
"""A threshold that nobody knows any more."""
_decoder = msgspec.msgpack.Decoder(Walks)
_encoder = msgspec.msgpack.Encoder()


def encoded(walks: Walks) -> bytes:
    """As Redis has them."""
    return _encoder.encode(walks)


def redrawn(walks: Walks) -> Walks:
    """The same released counts, whose thresholds are drawn anew in the next step."""
    zones = {
        name: ZoneWalks(zone.shape, zone.since, {kind: Walk(walk.released, _LOST) for kind, walk in zone.walks.items()})
        for name, zone in walks.zones.items()
    }
    return Walks(walks.at, zones, walks.windows)


def decoded(text: bytes) -> Walks | None:
    """None for what is none of ours."""
    try:
        return _decoder.decode(text)
    except UNREADABLE:
        return None


class Walking:
    """How walks go on, by one table of kinds, one policy and one time zone."""

    def __init__(self, *, kinds: tuple[KindId, ...], policy: Policy, timezone: ZoneInfo, draw: Draw) -> None:
        """`timezone` is whose days the 1d windows are."""
        self._kinds = kinds
        self._policy = policy
        self._timezone = timezone
        self._draw = draw

    def step(
        self,
        before: Walks | None,
        told: Released | None,
        *,
        slot: int,
        campus: str,
        shapes: Mapping[str, str],
        present: Present,
        recorded: bool,
    ) -> tuple[Walks, list[ReleasedWindow]]:
        """The walks of a slot, and the windows that are over when it begins.

        `before` are those that it follows; where they are lost, they go on from what was `told`. `slot` is when it
        begins, ms since the epoch; `campus` the id of the boundary; `shapes` what the outlines of all zones come to. A
        zone that is new, or has another outline than before, tells 0 until the next whole hour.
        """
        zones = {}
        for name, shape in shapes.items():
            width = self._policy.campus_width if name == campus else self._policy.width
            old = before.zones.get(name) if before else self._remembered(told, name, shape)
            zones[name] = self._zone(old, name, shape, slot=slot, width=width, present=present)
        known = before.windows if before else []
        over = [window.over() for window in known if window.end <= slot and window.told]
        windows = self._windows(known, slot)
        self._add(windows, zones, slot, recorded=recorded)
        return Walks(slot, zones, windows), over

    def _remembered(self, told: Released | None, name: str, shape: str) -> ZoneWalks:
        """A zone of which only that is left that everybody knows, if that: its outline is taken to be the same."""
        counts = {str(kind): told.of(name, kind) if told else 0 for kind in self._kinds}
        return ZoneWalks(shape, 0, {kind: Walk(count, _LOST) for kind, count in counts.items()})

    def _zone(
        self, known: ZoneWalks | None, name: str, shape: str, *, slot: int, width: int, present: Present
    ) -> ZoneWalks:
        if known is None or known.shape != shape:
            known = ZoneWalks(shape, -(-slot // HOUR_MS) * HOUR_MS, {}, width)
        walks = {}
        for kind in self._kinds:
            walk = known.walks.get(kind) or begun(width=width, draw=self._draw)
            # One that was drawn among fewer would tell more than the width now promises.
            if walk.threshold == _LOST or known.width != width:
                walk = Walk(walk.released, self._draw(width))
            if slot >= known.since:
                walk = moved(walk, present(name, kind), width=width, draw=self._draw)
            walks[str(kind)] = walk
        return ZoneWalks(shape, known.since, walks, width)

    def _windows(self, known: list[OpenWindow], slot: int) -> list[OpenWindow]:
        """Those that are open in the slot: what was told in them before, and new ones."""
        end = slot + self._policy.slot_ms
        before = {(window.width, window.start): window for window in known if window.end > slot}
        return [
            OpenWindow(width, start, old.end, old.told, old.recorded, dict(old.sums))
            if (old := before.get((width, start)))
            else OpenWindow(width, start, window_end(width, start, self._timezone), 0, False, {})  # noqa: FBT003
            for width in Width
            for start in windows_between(width, slot, end, self._timezone)
        ]

    def _add(self, windows: list[OpenWindow], zones: Mapping[str, ZoneWalks], slot: int, *, recorded: bool) -> None:
        counts = {
            f"{name}:{kind}": walk.released
            for name, zone in zones.items()
            for kind, walk in zone.walks.items()
            if walk.released
        }
        for window in windows:
            told = min(window.end, slot + self._policy.slot_ms) - max(window.start, slot)
            window.told += told
            window.recorded |= recorded
            for name, count in counts.items():
                window.sums[name] = window.sums.get(name, 0) + told * count


def released_of(walks: Walks, version: str) -> Released:
    """What is told of them; `version` is that of the campus."""
    counts = {
        name: {KindId(kind): walk.released for kind, walk in zone.walks.items() if walk.released}
        for name, zone in walks.zones.items()
    }
    return Released(walks.at, version, {name: of_zone for name, of_zone in counts.items() if of_zone})
