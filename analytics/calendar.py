"""Holidays and terms, from an iCal file (RFC 5545): what makes a day unlike others of its weekday."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import icalendar
from dateutil.rrule import rrulestr

from core.errors import BadSettingsError

Days = Literal["", "term", "holiday"]
"""What a day is. `""`: neither, as all days are where there is no calendar."""
MAX_FILE_BYTES = 5_000_000
MAX_REPEATS = 2_000
"""The most times that one event may begin in a year."""
FREQUENCIES = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
_ONE_DAY = timedelta(days=1)
_CATEGORIES: dict[str, Days] = {"HOLIDAY": "holiday", "TERM": "term"}


@dataclass(frozen=True, slots=True)
class _Event:
    days: Days
    start: datetime
    """Without a time zone: on the clocks of the campus, as all here."""
    length: int
    """How many days it has a part of."""
    rule: str
    """How it comes again, as iCal writes it; empty: it does not."""
    more: frozenset[date]
    less: frozenset[date]

    def begins(self, first: date, last: date) -> Iterator[date]:
        """The days on which it begins, of `first` to `last`."""
        found = {self.start.date(), *self.more}
        if self.rule:
            rule = rrulestr(self.rule, dtstart=self.start)
            between = rule.xafter(datetime.combine(first, time.min), inc=True)
            found = set(self.more)
            for begin in islice(between, MAX_REPEATS):
                if begin.date() > last:
                    break
                found.add(begin.date())
        return (day for day in found if first <= day <= last and day not in self.less)


class Calendar:
    """Tells what kind of day a date is."""

    def __init__(self, events: tuple[_Event, ...] = ()) -> None:
        """Without events all days are alike."""
        self._events = events
        self._years: dict[int, dict[date, Days]] = {}

    @property
    def empty(self) -> bool:
        """Whether it says nothing of any day."""
        return not self._events

    def of(self, day: date) -> Days:
        """What a day of the campus is. A holiday in a term is a holiday."""
        if day.year not in self._years:
            self._years[day.year] = self._year(day.year)
        return self._years[day.year].get(day, "")

    def _year(self, year: int) -> dict[date, Days]:
        first, last = date(year, 1, 1), date(year, 12, 31)
        found: dict[date, Days] = {}
        for event in self._events:
            back = min(timedelta(days=event.length), first - date.min)
            for begin in event.begins(first - back, last):
                for offset in range(event.length):
                    day = begin + offset * _ONE_DAY
                    if found.get(day) != "holiday":
                        found[day] = event.days
        return found


def load_calendar(path: Path | None, zone: ZoneInfo) -> Calendar:
    """The calendar in an iCal file; None: one that says nothing. `zone` is the campus's.

    Of its events those count whose CATEGORIES have HOLIDAY or TERM: each makes whole days of the campus, all that it
    has a part of, and comes again as RRULE, RDATE and EXDATE say. Raises BadSettingsError, which names file and event.
    """
    if path is None:
        return Calendar()
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadSettingsError(f"CALENDAR_FILE: {path}: cannot read it: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise BadSettingsError(f"CALENDAR_FILE: {path}: it has more than {MAX_FILE_BYTES:,} bytes")
    try:
        parts = icalendar.Calendar.from_ical(data).walk("VEVENT")
    except (ValueError, IndexError, KeyError) as error:
        raise BadSettingsError(f"CALENDAR_FILE: {path}: it is no iCal file: {error}") from error
    moved: dict[str, set[date]] = {}
    for part in parts:
        if "RECURRENCE-ID" in part:
            moved.setdefault(str(part.get("UID")), set()).add(_local(part.decoded("RECURRENCE-ID"), zone).date())
    events = []
    for part in parts:
        try:
            event = _event(part, zone, moved)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            named = " ".join(str(part.get("SUMMARY") or part.get("UID") or "without a name").split())[:80]
            raise BadSettingsError(f"CALENDAR_FILE: {path}: event {named!r}: {error}") from error
        if event is not None:
            events.append(event)
    return Calendar(tuple(events))


def _event(part: icalendar.Component, zone: ZoneInfo, moved: dict[str, set[date]]) -> _Event | None:
    kinds = {_CATEGORIES[name] for name in _categories(part) if name in _CATEGORIES}
    if not kinds or str(part.get("STATUS", "")).upper() == "CANCELLED":
        return None
    if "DTSTART" not in part:
        raise ValueError("it has no DTSTART")
    begin = part.decoded("DTSTART")
    start = _local(begin, zone)
    if "DTEND" in part:
        end = _local(part.decoded("DTEND"), zone)
    elif "DURATION" in part:
        end = start + part.decoded("DURATION")
    else:
        end = start if isinstance(begin, datetime) else start + _ONE_DAY
    if end < start:
        raise ValueError("it ends before it begins")
    # What ends at midnight has no part of the day that begins then.
    last = max(start, end - timedelta(microseconds=1)).date()
    replaced = set() if "RECURRENCE-ID" in part else moved.get(str(part.get("UID")), set())
    return _Event(
        days="holiday" if "holiday" in kinds else "term",
        start=start,
        length=(last - start.date()).days + 1,
        rule=_rule(part, zone),
        more=frozenset(_dates(part, "RDATE", zone)),
        less=frozenset({*_dates(part, "EXDATE", zone), *replaced}),
    )


def _categories(part: icalendar.Component) -> Iterator[str]:
    given = part.get("CATEGORIES") or []
    for line in given if isinstance(given, list) else [given]:
        yield from (str(name).strip().upper() for name in line.cats)


def _dates(part: icalendar.Component, name: str, zone: ZoneInfo) -> Iterator[date]:
    given = part.get(name) or []
    for line in given if isinstance(given, list) else [given]:
        for each in line.dts:
            # Of RDATE a period may be given: when it begins.
            yield _local(each.dt[0] if isinstance(each.dt, tuple) else each.dt, zone).date()


def _rule(part: icalendar.Component, zone: ZoneInfo) -> str:
    rule = part.get("RRULE")
    if rule is None:
        return ""
    if isinstance(rule, list):
        raise ValueError("it has more than one RRULE")  # noqa: TRY004 - of the file, not of a caller
    frequency = str(rule["FREQ"][0])
    if frequency not in FREQUENCIES:
        raise ValueError(f"FREQ={frequency}: one of {', '.join(sorted(FREQUENCIES))} is expected")
    if "UNTIL" in rule:
        until = rule["UNTIL"][0]
        local = _local(until, zone) if isinstance(until, datetime) else datetime.combine(until, time.max)
        rule = icalendar.vRecur({**rule, "UNTIL": [local.replace(microsecond=0)]})
    text: str = rule.to_ical().decode()
    rrulestr(text, dtstart=datetime(2000, 1, 1))  # noqa: DTZ001 - on the clocks of the campus
    return text


def _local(moment: date | datetime, zone: ZoneInfo) -> datetime:
    """On the clocks of the campus, without saying so."""
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time.min)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
