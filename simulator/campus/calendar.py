"""Which days are busy: terms, weekends, holidays, open days."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import msgspec

from core.unreadable import UNREADABLE

_IN_TERM = (0.85, 0.90, 0.90, 0.85, 0.65, 0.08, 0.06)
"""Of those who could come, from Monday to Sunday."""
_OUT_OF_TERM = (0.30, 0.30, 0.30, 0.30, 0.25, 0.04, 0.03)
_HOLIDAY = 0.03
_OPEN_DAY = 0.95
_TERM_DAYS = 15 * 7 - 2
_SATURDAY = 5


class BadCalendarError(ValueError):
    """A file that is no calendar; the message says what is wrong."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    terms: list[tuple[date, date]]
    holidays: list[date] = []
    open_days: list[date] = []


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of one campus, each as its calendar has it."""

    terms: tuple[tuple[date, date], ...]
    """First and last day of each."""
    holidays: frozenset[date]
    open_days: frozenset[date]

    def busy(self, day: date) -> float:
        """The share of people that comes on a day, 0 to 1."""
        if self.is_open_day(day):
            return _OPEN_DAY
        if day in self.holidays:
            return _HOLIDAY
        return (_IN_TERM if self.is_in_term(day) else _OUT_OF_TERM)[day.weekday()]

    def is_in_term(self, day: date) -> bool:
        """Whether there are lectures in these weeks."""
        return any(first <= day <= last for first, last in self.terms)

    def is_open_day(self, day: date) -> bool:
        """Whether visitors are invited."""
        return day in self.open_days

    def is_working(self, day: date) -> bool:
        """Whether it is an ordinary working day in term."""
        return day.weekday() < _SATURDAY and self.is_in_term(day) and day not in self.holidays


def usual(years: Iterable[int]) -> Calendar:
    """Two terms of 15 weeks, from September and from January, and an open day on the third Saturday of October."""
    chosen = sorted(set(years))
    return Calendar(
        terms=tuple(
            (first, first + timedelta(days=_TERM_DAYS))
            for year in chosen
            for first in (_first_monday(date(year, 1, 22)), _first_monday(date(year, 9, 4)))
        ),
        holidays=frozenset(day for year in chosen for day in _winter(year)),
        open_days=frozenset(_first_monday(date(year, 10, 10)) + timedelta(days=_SATURDAY) for year in chosen),
    )


def read_calendar(path: Path) -> Calendar:
    """A calendar of one's own: JSON with `terms` (pairs of first and last day), `holidays` and `open_days`.

    Raises BadCalendarError, which names the file.
    """
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, *UNREADABLE) as error:
        raise BadCalendarError(f"{path}: {error}") from error
    for first, last in file.terms:
        if last < first:
            raise BadCalendarError(f"{path}: a term ends on {last}, before it begins on {first}")
    return Calendar(tuple(file.terms), frozenset(file.holidays), frozenset(file.open_days))


def _first_monday(day: date) -> date:
    return day + timedelta(days=-day.weekday() % 7)


def _winter(year: int) -> list[date]:
    return [date(year, 1, 1), *(date(year, 12, number) for number in range(23, 32))]
