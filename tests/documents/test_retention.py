from typing import cast

import pytest

import documents.retention
from core.errors import UnavailableError
from documents import DocumentStore, Dropped, Retention
from documents.months import month_after, month_end, month_of, month_start
from documents.retention import parse_keep
from runtime.service import Stop
from tests.conftest import NOON

DAY = 86_400_000


class Asked:
    """A store that notes what is asked of it, and is away at first."""

    def __init__(self, stop: Stop, *, away: int = 0) -> None:
        self.dropped_before: list[int] = []
        self.setups = 0
        self._stop = stop
        self._away = away

    async def setup(self) -> None:
        self.setups += 1
        if self.setups > self._away:
            self._stop.set()
        else:
            raise UnavailableError("a pause")

    async def drop_before(self, time: int) -> list[Dropped]:
        self.dropped_before.append(time)
        return [Dropped("2025-11", 7)]


async def run(*, keep_ms: int | None, away: int = 0) -> Asked:
    stop = Stop()
    store = Asked(stop, away=away)
    await Retention(store=cast("DocumentStore", store), keep_ms=keep_ms, clock=lambda: NOON).run(stop)
    return store


async def test_months_are_made_ahead_and_dropped() -> None:
    store = await run(keep_ms=90 * DAY)

    assert store.setups == 1
    assert store.dropped_before == [NOON - 90 * DAY]


async def test_without_a_limit_nothing_is_dropped_and_months_are_made_all_the_same() -> None:
    store = await run(keep_ms=None)

    assert store.setups == 1
    assert store.dropped_before == []


async def test_a_store_that_is_away_is_asked_again_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents.retention, "AGAIN_SECONDS", 0.0)

    store = await run(keep_ms=DAY, away=3)

    assert store.setups == 4
    assert store.dropped_before == [NOON - DAY]


async def test_it_is_done_again_every_day_by_the_time_that_it_is_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now, stop, store = NOON, Stop(), Asked(Stop())

    async def a_day_passes(seconds: float, _: Stop) -> None:
        nonlocal now
        assert seconds == 86_400
        now += DAY
        if len(store.dropped_before) == 3:
            stop.set()

    monkeypatch.setattr(documents.retention, "pause", a_day_passes)
    await Retention(store=cast("DocumentStore", store), keep_ms=DAY, clock=lambda: now).run(stop)

    assert store.setups == 3
    assert store.dropped_before == [NOON - DAY, NOON, NOON + DAY]


@pytest.mark.parametrize(("text", "days"), [("1d", 1), ("90d", 90), ("36500d", 36_500)])
def test_how_long_is_a_number_of_days(text: str, days: int) -> None:
    assert parse_keep(text) == days * DAY


@pytest.mark.parametrize("text", ["", "90", "d", "0d", "-1d", "1.5d", "36501d", "999999d", "90 d", "90D", "٩d"])
def test_what_is_no_number_of_days_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="90d"):
        parse_keep(text)


def test_months_are_those_of_utc() -> None:
    assert month_of(0) == "1970-01"
    assert month_of(NOON) == "2026-03"
    assert month_start("2026-03") == NOON - 12 * 3_600_000
    assert month_of(month_end("2026-12")) == "2027-01"
    assert month_of(month_end("2026-12") - 1) == "2026-12"
    assert [month_after("2026-03", months) for months in (-3, -2, 0, 9, 10)] == [
        "2025-12",
        "2026-01",
        "2026-03",
        "2026-12",
        "2027-01",
    ]
    assert month_after("1970-02", -5) == "1970-01"
    assert month_end("9999-12") > month_start("9999-12")
