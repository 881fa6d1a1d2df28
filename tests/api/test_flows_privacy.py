"""What is withheld of flows, visits and forecasts can be computed from nothing that is shown."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.privacy import Cell, Pair, ShownForecast, ShownVisits, Visits, shown_cells, shown_forecast, shown_visits

ZONES = ("a", "b", "c")
PAIRS: list[Pair] = [(origin, destination) for origin, destination in product(ZONES, ZONES) if origin != destination]
MOST = 12


@dataclass(frozen=True)
class Truth:
    """An hour, as it was: who went from zone to zone, came from elsewhere, and left for elsewhere."""

    cells: Mapping[Pair, Cell]
    entries: Mapping[str, int]
    exits: Mapping[str, int]
    left: Mapping[str, int]
    """Exits of this hour and of those before, in which those that arrive in this one may have left."""
    devices: Mapping[str, int]

    @property
    def possible(self) -> bool:
        """Whether so many can have come and gone: whoever flows into a zone enters it, and has left another one."""
        return all(
            sum(cell.count for (_, destination), cell in self.cells.items() if destination == zone)
            <= self.entries[zone]
            and sum(cell.count for (origin, _), cell in self.cells.items() if origin == zone) <= self.left[zone]
            for zone in ZONES
        )

    def published(self, least: int) -> tuple[dict[Pair, Cell], dict[str, ShownVisits | None]]:
        """All that is said of this hour."""
        cells = shown_cells(self.cells, least)
        visits = {
            zone: shown_visits(
                Visits(
                    entries=self.entries[zone],
                    exits=self.exits[zone],
                    devices=self.devices[zone],
                    visits=self.entries[zone] + 3,
                    dwell=(600.0, 1234.0, 5000.0),
                    dwell_devices=self.devices[zone],
                ),
                flowed_in=sum(cell.count for (_, destination), cell in cells.items() if destination == zone),
                flowed_out=sum(cell.count for (origin, _), cell in cells.items() if origin == zone),
                left=self.left[zone],
                least=least,
            )
            for zone in ZONES
        }
        return cells, visits


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    """Any hour; often one in which nobody came from elsewhere, which is when sums tell most."""
    cells = {}
    for pair in PAIRS:
        devices = draw(st.integers(0, MOST))
        cells[pair] = Cell(count=devices + (draw(st.integers(0, 3)) if devices else 0), devices=devices)
    flowed_in = {zone: sum(cells[pair].count for pair in PAIRS if pair[1] == zone) for zone in ZONES}
    flowed_out = {zone: sum(cells[pair].count for pair in PAIRS if pair[0] == zone) for zone in ZONES}
    elsewhere = st.one_of(st.just(0), st.integers(0, MOST))
    entries = {zone: flowed_in[zone] + draw(elsewhere) for zone in ZONES}
    left = {zone: flowed_out[zone] + draw(elsewhere) for zone in ZONES}
    exits = {zone: draw(st.integers(0, left[zone])) for zone in ZONES}
    return Truth(cells, entries, exits, left, devices={zone: draw(st.integers(0, 2 * MOST)) for zone in ZONES})


def with_this_and_no_other(truth: Truth, pair: Pair, devices: int, least: int) -> Truth:
    """The hour as it would be had so many gone from zone to zone, and of all that is withheld beside it nobody.

    Entries and exits that nothing is said of follow; the others are as they were, with more from elsewhere.
    """
    _, visits = truth.published(least)
    cells = {
        each: Cell(0, 0) if each != pair and cell.devices < least else cell for each, cell in truth.cells.items()
    } | {pair: Cell(devices, devices)}
    untold = {zone for zone in ZONES if visits[zone] is None}
    into = {zone: sum(cell.count for (_, to), cell in cells.items() if to == zone) for zone in untold}
    out = {zone: sum(cell.count for (origin, _), cell in cells.items() if origin == zone) for zone in untold}
    return replace(truth, cells=cells, entries={**truth.entries, **into}, left={**truth.left, **out})


@given(truth=truths(), least=st.integers(2, 6))
def test_each_flow_that_is_withheld_may_be_any_number_under_the_least(truth: Truth, least: int) -> None:
    assert truth.possible
    told = truth.published(least)
    for pair in PAIRS:
        if pair in told[0]:
            assert told[0][pair].devices >= least
            continue
        for devices in range(least):
            other = with_this_and_no_other(truth, pair, devices, least)
            assert other.possible, (pair, devices)
            assert other.published(least) == told, (pair, devices)


def test_solving_all_sums_of_an_hour_leaves_two_numbers_or_more_for_each_flow_that_is_withheld() -> None:
    # From a to b went 9, and one more than that came to b; from c to b went 1. To show b's entries would tell of that.
    cells = {("a", "b"): Cell(9, 9), ("c", "b"): Cell(1, 1), ("b", "c"): Cell(6, 6)}
    truth = Truth(
        cells={pair: cells.get(pair, Cell(0, 0)) for pair in PAIRS},
        entries={"a": 8, "b": 10, "c": 20},
        exits={"a": 30, "b": 12, "c": 9},
        left={"a": 30, "b": 12, "c": 9},
        devices=dict.fromkeys(ZONES, 30),
    )
    shown, visits = truth.published(3)

    assert shown == {("a", "b"): Cell(9, 9), ("b", "c"): Cell(6, 6)}
    assert [zone for zone, told in visits.items() if told] == ["a", "c"]
    # As whoever reads it can: every number that fits what is known of the zones that are told.
    withheld = [pair for pair in PAIRS if pair not in shown]
    solutions = [
        dict(zip(withheld, numbers, strict=True))
        for numbers in product(range(3), repeat=len(withheld))
        if all(
            sum(number for (_, to), number in zip(withheld, numbers, strict=True) if to == zone)
            <= told.entries - sum(cell.count for (_, to), cell in shown.items() if to == zone)
            for zone, told in visits.items()
            if told
        )
    ]
    assert {pair: sorted({each[pair] for each in solutions}) for pair in withheld} == {
        pair: [0, 1, 2] for pair in withheld
    }


VISITS = Visits(entries=40, exits=30, devices=60, visits=62, dwell=(61.0, 1800.0, 5429.0), dwell_devices=20)


def test_visits_are_shown_together_with_quartiles_in_whole_minutes() -> None:
    assert shown_visits(VISITS, flowed_in=35, flowed_out=20, left=30, least=5) == ShownVisits(
        entries=40, exits=30, devices=60, visits=62, dwell=(1, 30, 90)
    )


@pytest.mark.parametrize(
    ("entries", "exits", "visits", "shown"),
    [(40, 30, 65, True), (40, 30, 66, False), (40, 30, 44, False), (30, 40, 44, False), (40, 30, 45, True)],
)
def test_how_many_visits_there_were_is_withheld_where_few_only_began_only_ended_or_did_both(
    entries: int,
    exits: int,
    visits: int,
    shown: bool,  # noqa: FBT001 - of a table
) -> None:
    hour = replace(VISITS, entries=entries, exits=exits, visits=visits)
    told = shown_visits(hour, flowed_in=0, flowed_out=0, left=40, least=5)

    assert told
    assert (told.entries, told.exits) == (entries, exits)
    assert (told.visits, told.devices, told.suppressed) == ((visits, 60, False) if shown else (None, None, True))


def test_quartiles_are_of_four_times_as_many_devices_or_withheld() -> None:
    few = replace(VISITS, dwell_devices=19)

    assert shown_visits(few, flowed_in=0, flowed_out=0, left=30, least=5) == ShownVisits(
        entries=40, exits=30, devices=60, visits=62, dwell=None
    )


@given(
    entries=st.integers(0, 12),
    exits=st.integers(0, 12),
    devices=st.integers(0, 12),
    flowed=st.integers(0, 12),
    least=st.integers(2, 6),
)
def test_whatever_can_be_subtracted_from_visits_that_are_shown_is_no_small_count(
    entries: int, exits: int, devices: int, flowed: int, least: int
) -> None:
    visits = Visits(entries=entries, exits=exits, devices=devices, visits=20, dwell=None, dwell_devices=0)

    shown = shown_visits(visits, flowed_in=flowed, flowed_out=flowed, left=exits, least=least)

    assert (shown is not None) == (min(entries - flowed, exits - flowed, devices) >= least)


def test_each_part_of_a_forecast_is_withheld_by_itself() -> None:
    assert shown_forecast(7.26, 4.99, 12.0, 5) == ShownForecast(value=7.3, low=None, high=12.0)
    assert shown_forecast(7.26, 4.99, 12.0, 5).suppressed
    assert shown_forecast(0.0, 0.0, 0.4, 0) == ShownForecast(value=0.0, low=0.0, high=0.4)
    assert not shown_forecast(0.0, 0.0, 0.4, 0).suppressed


@given(value=st.floats(0, 50), low=st.floats(0, 50), high=st.floats(0, 50), least=st.integers(0, 20))
def test_no_part_of_a_forecast_is_shown_under_the_least_number(
    value: float, low: float, high: float, least: int
) -> None:
    shown = shown_forecast(value, low, high, least)

    assert [part is None for part in (shown.value, shown.low, shown.high)] == [
        part < least for part in (value, low, high)
    ]
