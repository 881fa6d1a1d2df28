"""A fix: where a device was, and when."""

import math
from dataclasses import dataclass

from core.clock import EARLIEST_MS, LATEST_MS


@dataclass(frozen=True, slots=True)
class Fix:
    """One position of a track. Raises ValueError where it cannot be on the Earth, or is not a finite number."""

    longitude: float
    """Degrees east, WGS 84."""
    latitude: float
    """Degrees north, WGS 84."""
    at_ms: int
    """When the device was there, milliseconds since the epoch, UTC."""
    altitude: float | None = None
    """Metres."""
    accuracy: float | None = None
    """Metres."""
    speed: float | None = None
    """Metres a second."""
    heading: float | None = None
    """Degrees clockwise from true north."""

    def __post_init__(self) -> None:
        """Refuse what no receiver can have recorded."""
        if not -180 <= self.longitude <= 180:  # noqa: PLR2004 - half a turn
            raise ValueError(f"longitude {self.longitude} is not within -180 and 180")
        if not -90 <= self.latitude <= 90:  # noqa: PLR2004 - a quarter of a turn
            raise ValueError(f"latitude {self.latitude} is not within -90 and 90")
        if not EARLIEST_MS <= self.at_ms <= LATEST_MS:
            raise ValueError("the time is before 1970 or after 9999")
        for name in ("altitude", "accuracy", "speed", "heading"):
            value: float | None = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} {value} is not a finite number")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFix(Fix):
    """A fix, and whose it is."""

    device: str
    """The plain device id."""


class BadTrackError(Exception):
    """A file that is not a track; the message says what is wrong, and where in the file."""
