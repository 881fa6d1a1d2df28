"""When something of the campus's time is due: in fast motion until that has met the present, and then as it happens."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.clock import format_rfc3339
from simulator.campus.calendar import Calendar

MEETS_AFTER_SECONDS = 300
"""How long a crowd that nobody gave a start takes to meet the present."""
_FULL, _LEFT = time(9, 30), time(17)
"""Between them four of five zones have somebody, be the crowd of 300: who starts a demo wants to see that."""
_BUSY = (10, 50)
_TUESDAY = 1
_WEEK = 7


@dataclass(frozen=True, slots=True)
class Pace:
    """The campus's time runs `scale` times as fast from `start_ms` on. All in milliseconds since the epoch, UTC."""

    begun_ms: int
    """When it began, by the clock of this machine."""
    start_ms: int
    """What time it was on the campus then: not after `begun_ms`."""
    scale: float

    @classmethod
    def meeting(cls, now_ms: int, scale: float) -> "Pace":
        """The pace that begins now and meets the present in `MEETS_AFTER_SECONDS`; at once, if it is not faster."""
        back = (scale - 1) * MEETS_AFTER_SECONDS * 1000 if scale > 1 else 0
        return cls(now_ms, now_ms - round(back), scale)

    def due(self, at_ms: int) -> int:
        """When a moment of the campus is to happen here: the positions of the future would be refused."""
        return max(at_ms, self.begun_ms + round((at_ms - self.start_ms) / self.scale))

    def time_at(self, now_ms: int) -> int:
        """What time it is on the campus."""
        return min(now_ms, self.start_ms + round((now_ms - self.begun_ms) * self.scale))


@dataclass(frozen=True, slots=True)
class BusyHours:
    """Which day the crowd lives while a campus is not full: a Tuesday in term, from ten to eleven on."""

    shift_ms: int
    """To add to the crowd's times, to have those of now."""
    why: str
    """One line for whoever looks."""


def busy_hours(now_ms: int, zone: ZoneInfo, calendar: Calendar) -> BusyHours | None:
    """None from 09:30 to 17:00 of a working day in term, which needs no other day."""
    here = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
    if calendar.is_working(here.date()) and _FULL <= here.time() < _LEFT:
        return None
    day = here.date() - timedelta(days=(here.weekday() - _TUESDAY) % _WEEK)
    for _ in range(52):
        if calendar.is_working(day):
            break
        day -= timedelta(days=_WEEK)
    lived = datetime(day.year, day.month, day.day, *_BUSY, tzinfo=zone)
    lived_ms = int(lived.timestamp() * 1000)
    return BusyHours(
        shift_ms=now_ms - lived_ms,
        why=f"few are on the campus now, so the crowd lives {lived:%A, %Y-%m-%d %H:%M} (--hours real turns that off); "
        f"its positions have the times of now, {format_rfc3339(now_ms - now_ms % 1000)}",
    )
