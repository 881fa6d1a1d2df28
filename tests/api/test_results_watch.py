"""What jobs have computed, as it is told to those who follow: over results in the real SQLite store."""

import asyncio
import dataclasses
import json

import pytest

from api.analytics import NewestAnswers, newest
from api.live import results
from api.live.results import ResultsWatch
from core.errors import UnavailableError
from runtime.service import Stop
from tests.api.conftest import Parts, client_over
from tests.api.test_analytics import BUSY, COMPUTED, DWELL, HOUR, TEN, been, flow, has_forecast, jobs_ran, keep, result
from tests.conftest import NOON, eventually
from timeseries import TimeseriesStore

WINDOW = 300_000


def watch_of(parts: Parts) -> ResultsWatch:
    return parts.live.results


def told(parts: Parts, after: int = 0) -> list[dict[str, object]]:
    """The bodies of the events of anomalies."""
    text = (parts.change_log.since(after) or b"").decode()
    frames = [frame.splitlines() for frame in text.split("\n\n") if frame]
    assert {frame[0] for frame in frames} <= {"event: anomaly"}
    return [json.loads(frame[2].removeprefix("data: ")) for frame in frames]


async def anomalous(store: TimeseriesStore, zone: str, at: int, devices: int = 80) -> None:
    await keep(store, result("anomalies", zone, at, value=30.0, low=20.0, high=40.5, devices=devices))


async def test_an_anomaly_is_an_event_when_it_begins_as_it_goes_on_and_when_it_is_over(
    parts: Parts, store: TimeseriesStore
) -> None:
    now = NOON
    parts = dataclasses.replace(parts, clock=lambda: now)
    watch = watch_of(parts)
    await watch.look()
    assert told(parts) == []

    await anomalous(store, "kemmy", NOON - 2 * WINDOW)
    await watch.look()
    await watch.look()
    async with client_over(parts) as client:
        assert told(parts) == [(await client.get("/v1/zones/kemmy/anomaly")).json()]

    await anomalous(store, "kemmy", NOON - WINDOW, devices=90)
    await watch.look()
    [goes_on] = told(parts, 1)
    assert goes_on["anomalies"][0]["devices"] == 90  # type: ignore[index]

    now += HOUR
    await watch.look()
    assert told(parts, 2) == [{"zone": "kemmy", "anomalies": [], "computed_at": None}]


async def test_of_an_anomaly_that_is_withheld_there_is_no_event(parts: Parts, store: TimeseriesStore) -> None:
    parts = dataclasses.replace(parts, settings=parts.settings.model_copy(update={"privacy_min_count": 100}))
    await anomalous(store, "kemmy", NOON - WINDOW, devices=99)

    await watch_of(parts).look()

    assert told(parts) == []


async def test_the_answers_about_all_are_by_path_what_get_answers_of_each_kind(
    parts: Parts, store: TimeseriesStore
) -> None:
    await jobs_ran(store)
    await keep(store, result("visits", "kemmy", TEN, **BUSY, **DWELL), flow("schuman", "kemmy", TEN, 9))
    await has_forecast(store, served=1)
    await anomalous(store, "kemmy", NOON - WINDOW)

    found = await NewestAnswers(parts.rooms.analytics).all()

    async with client_over(parts) as client:
        for path, body in found.bodies.items():
            if path.endswith("/anomaly"):
                assert body == (await client.get(f"/{path}")).content
                continue
            answers = [(await client.get(f"/{path}", params={"kind": kind})).content for kind in parts.kinds.ids]
            assert body == b'{"car":%b,"mobile":%b}' % tuple(answers)
    zones = [zone.id for zone in parts.campus.everything]
    assert found.bodies.keys() == {
        "v1/flows",
        *(f"v1/zones/{zone}/visits" for zone in zones),
        "v1/zones/kemmy/forecast",
        "v1/zones/kemmy/anomaly",
    }


async def test_of_a_large_campus_flows_alone_are_there(
    parts: Parts, store: TimeseriesStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newest, "MOST_ZONES", 5)
    await jobs_ran(store)
    await keep(store, flow("schuman", "kemmy", TEN, 9))

    assert (await NewestAnswers(parts.rooms.analytics).all()).bodies.keys() == {"v1/flows"}


async def test_where_nothing_was_computed_nothing_is_there(parts: Parts) -> None:
    assert (await NewestAnswers(parts.rooms.analytics).all()).bodies == {}


async def test_the_answers_are_the_same_object_until_something_is_computed_or_an_hour_has_passed(
    parts: Parts, store: TimeseriesStore
) -> None:
    now = NOON
    parts = dataclasses.replace(parts, clock=lambda: now)
    answers = NewestAnswers(parts.rooms.analytics)
    await jobs_ran(store)
    first = await answers.all()
    now += HOUR // 2
    assert await answers.all() is first

    await keep(store, been("flows", NOON - HOUR, computed=COMPUTED + 1))
    second = await answers.all()
    assert second is not first
    now += HOUR
    third = await answers.all()
    assert third is not second
    assert third.bodies.keys() == second.bodies.keys()


async def test_answers_are_asked_for_while_this_process_mirrors(parts: Parts, store: TimeseriesStore) -> None:
    await jobs_ran(store)
    watch = watch_of(parts)

    async def known() -> set[str]:
        await watch.look()
        return set(watch.newest.bodies) if watch.newest else set()

    assert await known() == set()
    watch.mirror(wanted=True)
    assert "v1/zones/kemmy/visits" in await known()
    watch.mirror(wanted=False)
    assert await known() == set()


async def test_a_store_that_is_away_ends_nothing(
    parts: Parts, store: TimeseriesStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(results, "STEP_SECONDS", 0.01)
    away, asked = True, 0
    answers = NewestAnswers(parts.rooms.analytics)
    really = answers.anomalies

    async def anomalies() -> dict[str, bytes]:
        nonlocal asked
        asked += 1
        if away:
            raise UnavailableError("away")
        return await really()

    monkeypatch.setattr(answers, "anomalies", anomalies)
    stop = Stop()
    running = asyncio.create_task(ResultsWatch(answers, parts.change_log).run(stop))

    async def asked_twice() -> bool:
        return asked > 1

    async def event() -> bool:
        return bool(told(parts))

    await eventually(asked_twice)
    await anomalous(store, "kemmy", NOON - WINDOW)
    away = False
    await eventually(event)
    stop.set()
    await running
