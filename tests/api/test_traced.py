"""Which requests have a span: the first whose answer holds what is traced."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest

from api.application import create_app
from api.http.traced import Shown
from runtime import tracing as module
from runtime.service import Stop
from runtime.tracing import trace_id
from state.traces import Note, Notes
from tests.api.conftest import Parts, arrive, client_of, record
from tests.conftest import NOON, eventually
from tests.kinds_of_tests import CAR
from tests.tracing import Kept, tracing_to
from timeseries import Width

KEMMY = "/v1/zones/kemmy/occupancy"
HISTORY = f"{KEMMY}/history"
MINUTE = f"1m:{NOON - 60_000}:kemmy:car"
FIVE = f"5m:{NOON - 300_000}:kemmy:car"
ONE, OTHER = "raw:{0}/1-0", "raw:{0}/2-0"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.0)


def counted(origin: str, *windows: str, at: int = NOON - 2000) -> Note:
    return Note(origin, frozenset(windows), at)


def stored(origin: str, *windows: str) -> Note:
    return Note(origin, frozenset(windows), NOON - 1000, stored=True)


@asynccontextmanager
async def client_with(parts: Parts, kept: Kept, notes: Sequence[Note]) -> AsyncIterator[httpx.AsyncClient]:
    shown = Shown(Notes(parts.redis))
    shown.take(notes)
    async with tracing_to(kept) as tracing:
        app = create_app(parts.rooms, settings=parts.settings, metrics=parts.metrics, traced=(tracing, shown))
        async with client_of(app) as client:
            yield client


def told(kept: Kept) -> list[tuple[str, str]]:
    names = {trace_id(origin): origin for origin in (ONE, OTHER)}
    return [(names[trace], name) for trace, name in kept.told]


async def test_the_first_answer_about_now_that_holds_it_is_a_span_and_no_later_one(parts: Parts) -> None:
    await arrive(parts.redis, "kemmy", CAR, NOON - 2000)
    kept = Kept()
    async with client_with(parts, kept, [counted(ONE, MINUTE, FIVE)]) as client:
        await client.get("/v1/zones/schuman/occupancy")
        await client.get("/v1/zones/kemmy")
        for _ in range(2):
            assert (await client.get(KEMMY)).json()["car"] == 1
    assert told(kept) == [(ONE, "GET /v1/zones/{zone}/occupancy")]
    assert dict(kept.spans[0].attributes or {}) == {"status": 200}


async def test_an_answer_about_all_zones_holds_what_was_counted_before_its_snapshot(parts: Parts) -> None:
    kept = Kept()
    async with client_with(parts, kept, [counted(ONE, MINUTE), counted(OTHER, MINUTE, at=NOON - 999)]) as client:
        await client.get("/v1/occupancy")
        await client.get("/v1/occupancy", params={"category": "car_park"})
    assert told(kept) == [(ONE, "GET /v1/occupancy")]


@pytest.mark.parametrize(
    "question",
    [
        {"kind": "car", "window": "1h"},
        {"kind": "mobile", "window": "1m"},
        {"kind": "car", "window": "1m", "start": "2026-03-01T10:00:00Z", "end": "2026-03-01T11:00:00Z"},
        {"kind": "plane", "window": "1m"},
    ],
)
async def test_an_answer_about_the_past_without_its_windows_is_no_span(parts: Parts, question: dict[str, str]) -> None:
    kept = Kept()
    async with client_with(parts, kept, [stored(ONE, MINUTE)]) as client:
        await client.get(HISTORY, params=question)
        await client.get("/v1/zones/schuman/occupancy/history", params={"kind": "car", "window": "1m"})
    assert kept.spans == []


async def test_the_first_answer_about_the_past_that_holds_its_window_is_a_span(parts: Parts) -> None:
    await record(parts.store, "kemmy", CAR, Width.MINUTE, {NOON - 60_000: 1})
    kept = Kept()
    question = {"kind": "car", "window": "1m", "start": "2026-03-01T11:58:00Z", "end": "2026-03-01T12:00:00Z"}
    async with client_with(parts, kept, [counted(OTHER, MINUTE), stored(ONE, MINUTE)]) as client:
        for _ in range(2):
            assert (await client.get(HISTORY, params=question)).json()["points"][1]["devices"] == 1
        await client.get("/v1/occupancy/history", params={**question, "zone": "kemmy"})
    assert told(kept) == [(ONE, "GET /v1/zones/{zone}/occupancy/history")]


async def test_a_window_that_is_stored_after_others_is_held_by_answers_about_it(parts: Parts) -> None:
    kept = Kept()
    async with client_with(parts, kept, [stored(ONE, FIVE), stored(ONE, MINUTE)]) as client:
        for window in ("5m", "1m"):
            await client.get(HISTORY, params={"kind": "car", "window": window})
    assert [name for _, name in told(kept)] == ["GET /v1/zones/{zone}/occupancy/history"]


async def test_no_zone_and_no_question_is_in_a_span(parts: Parts) -> None:
    kept = Kept()
    async with client_with(parts, kept, [counted(ONE, MINUTE), stored(ONE, MINUTE)]) as client:
        await client.get(KEMMY)
        await client.get(HISTORY, params={"kind": "car", "window": "1m"})
    assert len(kept.spans) == 2
    for span in kept.spans:
        assert "kemmy" not in repr((span.name, span.attributes))
        assert "car" not in repr((span.name, span.attributes))


async def test_the_hundred_newest_that_nobody_has_asked_for_are_known(parts: Parts) -> None:
    kept = Kept()
    notes = [counted(f"raw:{{0}}/{number}-1", MINUTE) for number in range(150)]
    async with client_with(parts, kept, notes) as client:
        await client.get(KEMMY)
    traces = {trace for trace, _ in kept.told}
    assert traces == {trace_id(f"raw:{{0}}/{number}-1") for number in range(50, 150)}


async def test_what_is_noted_from_now_on_is_followed(parts: Parts) -> None:
    notes, stop = Notes(parts.redis), Stop()
    await notes.add([counted(OTHER, MINUTE)])
    shown = Shown(Notes(parts.redis))
    following = asyncio.create_task(shown.run(stop))

    async def known() -> list[str]:
        await notes.add([counted(ONE, MINUTE)])
        return shown.counted("kemmy", NOON)

    assert await eventually(known) == [ONE]
    stop.set()
    await following
