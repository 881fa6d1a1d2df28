"""The stage judge: documents become marks, whatever comes late, twice or in another order, and whatever dies."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from redis.asyncio import Redis

import documents
from core.errors import Reason, UnavailableError
from core.marks import Mark
from core.messages import Position
from decoder.judge import Judge, note_hours
from decoder.metrics import DecoderMetrics
from decoder.settings import DecoderSettings
from documents import Document, DocumentStore
from runtime.service import Stop
from state.judging import HoursToJudge, forget_marks
from state.marks import marks_of
from tests.conftest import NOON, eventually
from tests.decoder.conftest import HASHER, LIBRARY, HandClock, dead_letters
from tests.decoder.test_plausibility import EVERY_MARK, EVERYBODY
from tests.documents.positions import position
from tests.kinds_of_tests import CAR, MOBILE
from tests.timeseries.live import Live, everything
from timeseries import TimeseriesSettings, Width, Window
from timeseries import open_store as open_timeseries

HOUR = 3_600_000
MINUTE = 60_000
DAY = 24 * HOUR
LEASE_MS = 60_000
JUDGED_AT = NOON + HOUR + MINUTE
"""An hour is judged a minute after its end."""
SENT = [
    position(
        device=each.device,
        observed_at=each.at,
        longitude=each.longitude,
        latitude=each.latitude,
        accuracy=each.accuracy,
        speed=each.speed,
    )
    for each in EVERYBODY
]
MARKS = {device: frozenset(marks) for device, marks in EVERY_MARK.items()}
FAR = (-8.5688, 52.6781)
"""On the campus, 600 m from the library."""
NewJudge = Callable[..., Judge]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DocumentStore]:
    async with documents.open_store(DecoderSettings(data_dir=tmp_path)) as opened:
        await opened.setup()
        yield opened


@pytest.fixture
def hours(redis_client: Redis) -> HoursToJudge:
    return HoursToJudge(redis_client, keep_ms=30 * DAY)


@pytest.fixture
def new_judge(redis_client: Redis, store: DocumentStore, clock: HandClock, metrics: DecoderMetrics) -> NewJudge:
    clock.now = JUDGED_AT

    def make(over: object = store, *, keep_ms: int = 30 * DAY, most_devices: int = 100) -> Judge:
        return Judge(
            client=redis_client,
            store=cast("DocumentStore", over),
            clock=clock,
            metrics=metrics,
            most_devices=most_devices,
            most_speed=70.0,
            keep_ms=keep_ms,
            dead_letters_max=10,
        )

    return make


class Stumbling:
    """A store that does something after so many documents of a scan."""

    def __init__(self, store: DocumentStore, after: int, then: Callable[[], object]) -> None:
        self._store = store
        self._after = after
        self._then = then

    async def scan(self, **options: Any) -> AsyncIterator[Document]:
        number = 0
        async for document in self._store.scan(**options):
            if number == self._after:
                answer = self._then()
                if asyncio.iscoroutine(answer):
                    await answer
            number += 1
            yield document


async def stored(store: DocumentStore, hours: HoursToJudge, sent: Sequence[Position], *, now: int = NOON) -> None:
    """As the stage archive does it."""
    await store.put(sent)
    await note_hours(hours, sent, now=now)


def figure(metrics: DecoderMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


async def test_an_hour_is_judged_a_minute_after_its_end_and_each_device_has_its_marks(
    redis_client: Redis, store: DocumentStore, hours: HoursToJudge, new_judge: NewJudge, clock: HandClock
) -> None:
    await stored(store, hours, SENT)
    clock.now = JUDGED_AT - 1
    assert not await new_judge().step()
    assert await marks_of(redis_client, NOON) == {}
    clock.now = JUDGED_AT
    assert await new_judge().step()
    assert await marks_of(redis_client, NOON) == MARKS
    assert not await new_judge().step()


async def test_an_hour_is_judged_again_if_documents_came_since_and_at_most_once_a_minute(
    redis_client: Redis, store: DocumentStore, hours: HoursToJudge, new_judge: NewJudge, clock: HandClock
) -> None:
    early = [each for each in SENT if each.device not in {"copy", "step-5"}]
    await stored(store, hours, early)
    await new_judge().step()
    assert await marks_of(redis_client, NOON) == {
        device: marks for device, marks in MARKS.items() if device != "copy" and not device.startswith("step")
    }
    await stored(store, hours, SENT, now=JUDGED_AT)
    await stored(store, hours, SENT[:3], now=JUDGED_AT + 59_000)
    clock.now = JUDGED_AT + 59_999
    assert not await new_judge().step()
    clock.now += 1
    assert await new_judge().step()
    assert await marks_of(redis_client, NOON) == MARKS


async def test_a_mark_goes_when_what_comes_late_explains_it(
    redis_client: Redis, store: DocumentStore, hours: HoursToJudge, new_judge: NewJudge, clock: HandClock
) -> None:
    stay = [each for each in SENT if each.device == "frozen"]
    await stored(store, hours, stay)
    await new_judge().step()
    assert await marks_of(redis_client, NOON) == {"frozen": {Mark.FROZEN}}
    await stored(store, hours, [msgspec.structs.replace(stay[0], observed_at=NOON + 22 * MINUTE + 1, latitude=52.6735)])
    clock.now += HOUR
    await new_judge().step()
    assert await marks_of(redis_client, NOON) == {}
    assert await redis_client.keys("marks:*") == []


@pytest.mark.parametrize("seed", range(5))
async def test_any_order_of_arrival_and_what_comes_twice_give_the_same_marks(
    redis_client: Redis,
    store: DocumentStore,
    hours: HoursToJudge,
    new_judge: NewJudge,
    clock: HandClock,
    seed: int,
) -> None:
    source = random.Random(seed)  # noqa: S311 - the same at every run
    sent = [*SENT, *source.sample(SENT, 150)]
    source.shuffle(sent)
    while sent:
        size = source.randint(1, 200)
        await stored(store, hours, sent[:size], now=clock.now)
        del sent[:size]
        clock.now += source.randint(0, 2 * MINUTE)
        await new_judge().step()
    clock.now += HOUR
    while await new_judge().step():
        pass
    assert await marks_of(redis_client, NOON) == MARKS


@pytest.mark.parametrize("after", [0, 100, len(SENT) - 1])
async def test_a_judge_that_is_killed_leaves_the_hour_to_another_which_finds_the_same(
    redis_client: Redis,
    store: DocumentStore,
    hours: HoursToJudge,
    new_judge: NewJudge,
    clock: HandClock,
    after: int,
) -> None:
    await stored(store, hours, SENT)
    there = asyncio.Event()

    async def hangs() -> None:
        there.set()
        await asyncio.Event().wait()

    killed = asyncio.ensure_future(new_judge(Stumbling(store, after, hangs)).step())
    await there.wait()
    killed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killed
    assert not await new_judge().step(), "its claim holds"
    clock.now += LEASE_MS
    assert await new_judge().step()
    assert await marks_of(redis_client, NOON) == MARKS


async def test_whoever_is_slower_than_its_claim_writes_nothing(
    redis_client: Redis, store: DocumentStore, hours: HoursToJudge, new_judge: NewJudge, clock: HandClock
) -> None:
    early = [each for each in SENT if each.device == "jumper"]
    await stored(store, hours, early)

    async def sleeps() -> None:
        clock.now += LEASE_MS
        await stored(store, hours, SENT, now=NOON)
        assert await new_judge().step()

    assert await new_judge(Stumbling(store, 3, sleeps)).step()
    assert await marks_of(redis_client, NOON) == MARKS


async def test_a_claim_is_renewed_while_documents_are_read(
    redis_client: Redis, store: DocumentStore, hours: HoursToJudge, new_judge: NewJudge, clock: HandClock
) -> None:
    await stored(store, hours, SENT)

    class Slow(Stumbling):
        async def scan(self, **options: Any) -> AsyncIterator[Document]:
            async for document in store.scan(**options):
                clock.now += 500
                yield document

    assert await new_judge(Slow(store, 0, lambda: None)).step()
    assert clock.now > JUDGED_AT + 2 * LEASE_MS
    assert await marks_of(redis_client, NOON) == MARKS


async def test_devices_that_are_erased_while_their_hour_is_judged_have_no_marks_after_it(
    redis_client: Redis, store: DocumentStore, hours: HoursToJudge, new_judge: NewJudge, clock: HandClock
) -> None:
    await stored(store, hours, [each for each in SENT if each.device in {"jumper", "frozen"}])

    async def erases() -> None:
        # The judge has read it already.
        await store.erase("jumper")
        assert await forget_marks(redis_client, ["jumper"], now=clock.now) == 0

    await new_judge(Stumbling(store, 10, erases)).step()
    assert await marks_of(redis_client, NOON) == {}
    assert await new_judge().step()
    assert await marks_of(redis_client, NOON) == {"frozen": {Mark.FROZEN}}


async def test_forgetting_a_device_takes_its_marks_of_all_hours_and_no_others(
    redis_client: Redis, store: DocumentStore, hours: HoursToJudge, new_judge: NewJudge
) -> None:
    before = [msgspec.structs.replace(each, observed_at=each.observed_at - HOUR) for each in SENT]
    await stored(store, hours, [*SENT, *before])
    while await new_judge().step():
        pass
    assert await marks_of(redis_client, NOON - HOUR) == MARKS
    assert await forget_marks(redis_client, ["jumper", "copy", "nobody"], now=JUDGED_AT) == 4
    left = {device: marks for device, marks in MARKS.items() if device not in {"jumper", "copy"}}
    assert await marks_of(redis_client, NOON) == await marks_of(redis_client, NOON - HOUR) == left


async def test_while_the_store_is_away_the_hour_waits_and_is_judged_when_it_is_back(
    redis_client: Redis,
    store: DocumentStore,
    hours: HoursToJudge,
    new_judge: NewJudge,
    metrics: DecoderMetrics,
    impatient: None,
) -> None:
    del impatient
    await stored(store, hours, SENT)
    left = [3]

    def away() -> None:
        if left[0]:
            left[0] -= 1
            raise UnavailableError("a pause")

    stop = Stop()
    running = asyncio.ensure_future(new_judge(Stumbling(store, 5, away)).run(stop))

    async def judged() -> bool:
        return await marks_of(redis_client, NOON) == MARKS

    await eventually(judged)
    stop.set()
    await running
    assert left == [0]
    assert figure(metrics, "decoder_unavailable_total", stage="judge") == 3


async def test_marks_lapse_when_their_hour_is_old_enough_and_an_older_hour_is_not_judged(
    redis_client: Redis, store: DocumentStore, new_judge: NewJudge, clock: HandClock
) -> None:
    hours = HoursToJudge(redis_client, keep_ms=2 * DAY)
    old = [msgspec.structs.replace(each, observed_at=each.observed_at - 3 * DAY) for each in SENT]
    await stored(store, hours, [*SENT, *old])
    assert await redis_client.zrange("judge:{campus}", 0, -1) == [str(NOON).encode()]
    while await new_judge(keep_ms=2 * DAY).step():
        pass
    assert 2 * DAY - HOUR - 10 * MINUTE < await redis_client.pttl(f"marks:{{campus}}:{NOON}") <= 2 * DAY - HOUR - MINUTE
    assert await redis_client.zrange("marks:{campus}", 0, -1) == [str(NOON).encode()]
    later = [msgspec.structs.replace(each, observed_at=each.observed_at + 3 * DAY) for each in SENT]
    clock.now = JUDGED_AT + 3 * DAY
    await stored(store, hours, later, now=NOON + 3 * DAY)
    assert await new_judge(keep_ms=2 * DAY).step()
    assert await redis_client.zrange("marks:{campus}", 0, -1) == [str(NOON + 3 * DAY).encode()]


async def test_figures_are_of_the_last_hour_that_is_judged_and_what_there_was_no_room_for_is_counted(
    store: DocumentStore, hours: HoursToJudge, new_judge: NewJudge, metrics: DecoderMetrics, clock: HandClock
) -> None:
    await stored(store, hours, SENT)
    await new_judge(most_devices=4).step()
    seen = {each.device for each in SENT}
    assert figure(metrics, "decoder_judgements_total") == 1
    assert figure(metrics, "decoder_unjudged_positions_total") == 360
    assert len(seen) == 11
    await stored(store, hours, SENT[:1])
    clock.now = JUDGED_AT + MINUTE
    assert await new_judge().step()
    found = {mark.value: figure(metrics, "decoder_marked_devices", mark=mark.value) for mark in Mark}
    assert found == {"teleport": 1, "replayed": 1, "lockstep": 6, "frozen": 1, "perfect": 1}
    assert figure(metrics, "decoder_waiting_judgements") == 0
    clock.now += HOUR
    await stored(store, hours, SENT[:1], now=clock.now - 2 * MINUTE)
    await new_judge().step()
    assert figure(metrics, "decoder_marked_devices", mark="lockstep") == 0


async def test_what_is_no_hour_becomes_a_dead_letter_and_the_next_hour_is_judged(
    redis_client: Redis, store: DocumentStore, hours: HoursToJudge, new_judge: NewJudge
) -> None:
    await stored(store, hours, SENT)
    await redis_client.zadd("judge:{campus}", {b"\xff not ours": 1, str(NOON + 1).encode(): 2})
    await redis_client.zadd("judging:{campus}", {b"\xfe not ours": 3})
    for _ in range(4):
        assert await new_judge().step()
    assert await marks_of(redis_client, NOON) == MARKS
    letters = await dead_letters(redis_client)
    assert [letter.reason for letter in letters] == [Reason.MALFORMED_ENTRY] * 3
    assert {letter.detail for letter in letters} == {
        r"'\xff not ours', which is to be judged, is no hour",
        r"'\xfe not ours', which is to be judged, is no hour",
        f"'{NOON + 1}', which is to be judged, is no hour",
    }
    assert await redis_client.keys("judg*") == []


@pytest.mark.parametrize("hour", ["9" * 5000, str(3_600_000 * 10**12), "253402297200000", ""])
async def test_an_hour_that_no_document_is_of_becomes_a_dead_letter(
    redis_client: Redis, new_judge: NewJudge, hour: str
) -> None:
    await redis_client.zadd("judge:{campus}", {hour: 1})
    assert await new_judge().step()
    assert not await new_judge().step()
    [letter] = await dead_letters(redis_client)
    assert letter.detail == f"'{hour[:40]}', which is to be judged, is no hour"
    assert await redis_client.keys("judg*") == []


@pytest.mark.parametrize("place", [(1e300, 52.67), (-8.57, -1e300), (1e12, 52.67), (180.1, 52.67), (-8.57, 90.1)])
async def test_a_document_in_no_place_on_earth_is_left_out_and_its_hour_is_judged(
    redis_client: Redis,
    store: DocumentStore,
    hours: HoursToJudge,
    new_judge: NewJudge,
    metrics: DecoderMetrics,
    place: tuple[float, float],
) -> None:
    longitude, latitude = place
    for number, device in enumerate(("jumper", "stranger")):
        wrong = position(device=device, observed_at=NOON + number + 1, longitude=longitude, latitude=latitude)
        await stored(store, hours, [*SENT, wrong])
    assert await new_judge().step()
    assert await marks_of(redis_client, NOON) == MARKS
    assert figure(metrics, "decoder_unjudged_positions_total") == 2


async def test_marks_that_no_decoder_wrote_are_none(redis_client: Redis) -> None:
    found: dict[Any, Any] = {"a": "x", "b": "-1", "c": "32", "d": "33", "e": "9" * 5000, b"\xff": 2}
    await redis_client.hset(f"marks:{{campus}}:{NOON}", mapping=found)
    assert await marks_of(redis_client, NOON) == {"d": {Mark.TELEPORT}, "\ufffd": {Mark.REPLAYED}}


async def test_devices_with_the_same_marks_share_one_set(redis_client: Redis) -> None:
    await redis_client.hset(f"marks:{{campus}}:{NOON}", mapping={"a": 17, "b": 17, "c": 2})
    found = await marks_of(redis_client, NOON)
    assert found["a"] == {Mark.TELEPORT, Mark.PERFECT}
    assert found["a"] is found["b"]


async def live_counts(
    client: Redis, folder: Path, store: DocumentStore, *, judged: bool
) -> tuple[dict[Window, int], dict[str, frozenset[Mark]]]:
    """What a decoder counts of a crowd with a device that jumps, and which marks it makes."""
    await client.flushall()
    clock = HandClock(JUDGED_AT)
    async with open_timeseries(TimeseriesSettings(data_dir=folder)) as series:
        await series.setup()
        live = Live(client=client, clock=clock, folder=folder, store=series, archive=store)
        async with live:
            for step in range(10):
                for number in range(20):
                    await live.accept(f"phone-{number}", MOBILE, LIBRARY, NOON + step * MINUTE + number)
                await live.accept("jumper", CAR, LIBRARY if step % 2 else FAR, NOON + step * 1000)
            await live.observed()
            assert await client.zrange("judge:{campus}", 0, -1) == [str(NOON).encode()]
            clock.now += 2 * MINUTE
            judge = Judge(
                client=client,
                store=store,
                clock=clock,
                metrics=live.metrics,
                most_devices=100,
                most_speed=70.0,
                keep_ms=30 * DAY,
                dead_letters_max=10,
            )
            if judged:
                while await judge.step():
                    pass
            await live.done()
        return await everything(series), dict(await marks_of(client, NOON))


async def test_counts_with_and_without_the_stage_are_equal(redis_client: Redis, tmp_path: Path) -> None:
    found = []
    for judged in (False, True):
        folder = tmp_path / str(judged)
        async with documents.open_store(DecoderSettings(data_dir=folder)) as store:
            await store.setup()
            found.append(await live_counts(redis_client, folder, store, judged=judged))
    (without, no_marks), (counts, marks) = found
    assert no_marks == {}
    assert marks == {HASHER.hash(CAR, "jumper"): {Mark.TELEPORT}}
    assert counts == without
    assert counts[Window(Width.HOUR, NOON, "campus", MOBILE)] == 20
    assert counts[Window(Width.HOUR, NOON, "campus", CAR)] == 1
