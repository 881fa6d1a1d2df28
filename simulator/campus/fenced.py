"""History: what the crowd sent on days that are over, as the positions that decoders would have counted."""

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec
import numpy as np

from core.kinds import KindId
from geofence import Geofence
from simulator.campus.crowd import Moment
from simulator.device import DEFAULT_POLICY, Policy
from simulator.outline import metres_between

MAX_ACCURACY, MAX_ACCURACY_CAMPUS = 100.0, 1000.0
"""Metres: what is less accurate counts in no zone but the campus, and nowhere at all: as decoders have it."""
_AT_ONCE = 8192


class Fenced(msgspec.Struct, frozen=True):
    """A position on the campus, and the zones that it counts in: one line of JSON."""

    at: int
    """Milliseconds since the epoch, UTC, by the device's own clock."""
    device: str
    """Its plain id."""
    kind: KindId
    zones: tuple[str, ...]
    """The campus first."""
    longitude: float
    latitude: float


class History:
    """Fences what receivers say, as far as their devices would have sent it (`simulator.device`)."""

    def __init__(self, fence: Geofence, policy: Policy = DEFAULT_POLICY) -> None:
        """`policy` is that of all devices."""
        self._fence = fence
        self._policy = policy
        self._taken: dict[str, Fenced] = {}
        """The newest of each device."""

    def fenced(self, moments: Iterable[Moment]) -> Iterator[Fenced]:
        """Positions in the order of `moments`, each with the time that the device gives it.

        Moments are by their clocks. None is outside of the campus: it leaves no trace, for devices do not send it.
        """
        coming = iter(moments)
        while chunk := list(islice(coming, _AT_ONCE)):
            held = self._fence.locate(
                np.array([moment.longitude for moment in chunk]), np.array([moment.latitude for moment in chunk])
            )
            for moment, zones in zip(chunk, held, strict=True):
                if zones is None:
                    continue
                accuracy = moment.reading.accuracy
                position = Fenced(
                    at=moment.by_its_clock_ms,
                    device=moment.unit.id,
                    kind=moment.unit.kind.id,
                    zones=zones[:1] if accuracy > MAX_ACCURACY else zones,
                    longitude=moment.longitude,
                    latitude=moment.latitude,
                )
                if not self._is_worth_sending(position, accuracy):
                    continue
                self._taken[position.device] = position
                if accuracy <= MAX_ACCURACY_CAMPUS:
                    yield position

    def _is_worth_sending(self, position: Fenced, accuracy: float) -> bool:
        """What `Device` decides, without a device: millions of them cost too much."""
        last = self._taken.get(position.device)
        if last is None or position.at - last.at >= self._policy.still_seconds * 1000:
            return True
        if position.at - last.at < self._policy.moving_seconds * 1000:
            return False
        moved = metres_between(last.longitude, last.latitude, position.longitude, position.latitude)
        return moved > max(self._policy.still_metres, accuracy)
