import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from redis.asyncio import Redis

from core.clock import Clock
from core.errors import Reason, UnansweredError, UnavailableError
from core.kinds import DEFAULT_KINDS, KindId
from decoder.batch import Batch
from decoder.metrics import DecoderMetrics
from decoder.rollup import Rollup
from runtime.service import Stop
from state.dirty_windows import waiting
from state.window_stream import WINDOWS, ExportedWindow, WindowStream, decode_windows
from state.windows import counter
from tests.conftest import NOON, TOTALS, entries, eventually
from tests.decoder.conftest import Apply, HandClock, dead_letters, position
from tests.kinds_of_tests import CAR, MOBILE
from tests.timeseries.live import everything
from timeseries import (
    OccupancyPoint,
    OccupancyStore,
    TimeseriesSettings,
    Undone,
    Width,
    Window,
    Written,
    nominal_ms,
    open_store,
    stored_devices,
    window_start,
)
from timeseries.reading import SPAN_WINDOWS

LEASE_MS = 60_000
KEEP_MS = 172_800_000

DUBLIN = ZoneInfo("Europe/Dublin")
HOUR = 3_600_000
DAY = 24 * HOUR
MINUTE = f"1m:{NOON}:campus:car"
MINUTE_COUNTER = counter(Window.parse(MINUTE), "{0}", 0)


class StubStore:
    """A store that remembers what is written and how often it is read, and does something first."""

    def __init__(self) -> None:
        self.written: dict[str, int] = {}
        self.reads: list[tuple[str, KindId, Width, int, int]] = []
        self.before: Callable[[], object] | None = None
        self.swallowed: list[OccupancyPoint] = []
        self.refuses: Callable[[Window], str | None] = lambda _: None

    async def setup(self) -> None: ...

    async def write(self, points: Sequence[OccupancyPoint]) -> Written:
        if self.before is not None:
            act, self.before = self.before, None
            try:
                answer = await act()  # type: ignore[misc]
            except UnavailableError as error:
                self.swallowed = [*points]
                return Written(undone=[Undone([point.window for point in points], error)])
            if isinstance(answer, Written):
                return answer
        refused = {point.window: words for point in points if (words := self.refuses(point.window))}
        self.written |= {point.window.member: point.devices for point in points if point.window not in refused}
        return Written(refused=refused)

    async def kept_since(self, width: Width) -> int | None:
        raise NotImplementedError

    async def drop_expired(self) -> int:
        raise NotImplementedError

    async def history(self, *, zone: str, kind: KindId, width: Width, start: int, end: int) -> list[OccupancyPoint]:
        self.reads.append((zone, kind, width, start, end))
        windows = [(Window.parse(member), devices) for member, devices in self.written.items()]
        return [
            OccupancyPoint(window, devices)
            for window, devices in windows
            if (window.zone, window.kind, window.width) == (zone, kind, width) and start <= window.start < end
        ]

    async def extent(self, zone: str, kind: KindId, width: Width) -> tuple[int, int] | None:
        raise NotImplementedError

    async def series(self, width: Width) -> list[tuple[str, KindId]]:
        raise NotImplementedError


@pytest.fixture
def store() -> StubStore:
    return StubStore()


def roller(
    client: Redis,
    store: OccupancyStore,
    clock: Clock,
    metrics: DecoderMetrics,
    *,
    export: WindowStream | None = None,
) -> Rollup:
    return Rollup(
        export=export,
        kinds=DEFAULT_KINDS,
        client=client,
        store=store,
        clock=clock,
        metrics=metrics,
        partitions=1,
        timezone=DUBLIN,
        every_ms=0,
        batch_size=100,
        dead_letters_max=100,
    )


async def observed(apply: Apply, *devices: str) -> None:
    await apply(Batch(positions=[position(device, NOON) for device in devices]))


async def test_a_dirty_window_is_written_once(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a", "b")
    rollup = roller(redis_client, store, clock, metrics)
    assert await rollup.step() == len(Width)
    assert store.written[MINUTE] == 2
    assert await waiting(redis_client, 1) == 0
    assert await rollup.step() == 0


async def test_a_change_while_a_window_is_written_is_written_afterwards(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a")
    store.before = lambda: observed(apply, "b")
    rollup = roller(redis_client, store, clock, metrics)
    await rollup.step()
    assert store.written[MINUTE] == 1
    await rollup.step()
    assert store.written[MINUTE] == 2
    assert await waiting(redis_client, 1) == 0


async def test_a_claimed_window_is_left_alone_until_the_claim_lapses(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a")
    other = roller(redis_client, StubStore(), clock, metrics)
    seen: list[int] = []

    async def look() -> None:
        seen.append(await other.step())
        raise KeyboardInterrupt  # this process dies here

    store.before = look
    with pytest.raises(KeyboardInterrupt):
        await roller(redis_client, store, clock, metrics).step()
    assert seen == [0]
    clock.now += LEASE_MS
    assert await other.step() == len(Width)


async def test_who_writes_after_its_claim_has_lapsed_does_not_have_the_last_word(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    """The older count is written after the newer one, by somebody who was very slow."""
    await observed(apply, "a")
    other = roller(redis_client, store, clock, metrics)

    async def be_slow() -> None:
        clock.now += LEASE_MS
        await observed(apply, "b")
        clock.now += 1
        assert await other.step() == len(Width)
        assert store.written[MINUTE] == 2
        assert await waiting(redis_client, 1) == 0

    store.before = be_slow
    await roller(redis_client, store, clock, metrics).step()
    assert store.written[MINUTE] == 1
    while await other.step():
        pass
    assert store.written[MINUTE] == 2
    assert await waiting(redis_client, 1) == 0


async def test_a_change_after_the_claim_has_lapsed_is_written_although_nobody_else_claimed_it(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a")

    async def be_slow() -> None:
        clock.now += LEASE_MS
        await observed(apply, "b")

    store.before = be_slow
    slow = roller(redis_client, store, clock, metrics)
    await slow.step()
    assert store.written[MINUTE] == 1
    while await slow.step():
        pass
    assert store.written[MINUTE] == 2


async def test_windows_of_a_write_without_an_answer_are_left_alone_for_it_may_happen_yet(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a")
    rollup, other = (roller(redis_client, store, clock, metrics) for _ in range(2))

    async def no_answer() -> None:
        await observed(apply, "b")
        clock.now += LEASE_MS + 500  # the claim itself has lapsed by now
        raise UnansweredError("silence")

    store.before = no_answer
    assert await rollup.step() == 0
    assert await other.step() == 0
    assert metrics.waiting == "4 windows of rollup wait: silence"
    assert metrics.registry.get_sample_value("decoder_held_windows") == 4
    store.written[MINUTE] = 1  # the server gets to it
    clock.now += LEASE_MS - 1
    assert await rollup.step() == 0
    clock.now += 1
    assert await rollup.step() == len(Width)
    assert store.written[MINUTE] == 2
    assert await waiting(redis_client, 1) == 0
    assert metrics.registry.get_sample_value("decoder_held_windows") == 0
    assert metrics.waiting is None


async def test_only_windows_whose_write_has_no_answer_wait_and_all_others_are_written_meanwhile(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    """Those of the same claim that were not in the request, and those that become dirty later."""
    await observed(apply, "a")
    silent = {Window.parse(MINUTE)}

    async def half_an_answer() -> Written:
        return Written(
            undone=[
                Undone([*silent], UnansweredError("silence")),
                Undone([Window(width, NOON, "campus", CAR) for width in [Width.HOUR]], UnavailableError("silence")),
            ]
        )

    store.before = half_an_answer
    rollup = roller(redis_client, store, clock, metrics)
    assert await rollup.step() == 1
    assert [Window.parse(member).width for member in store.written] == [Width.HOUR]
    assert metrics.waiting == "1 window of rollup waits: silence"
    await apply(Batch(positions=[position("a", NOON, "library")]))
    while await rollup.step():
        pass
    assert MINUTE not in store.written
    assert MINUTE.replace("campus", "library") in store.written
    assert await redis_client.zrange("claimed:{0}", 0, -1) == [MINUTE.encode()]
    assert await waiting(redis_client, 1) == 1


async def test_a_write_that_hangs_keeps_no_other_batch_from_being_written(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a")
    released = asyncio.Event()

    async def hang() -> None:
        await released.wait()

    store.before = hang
    stop = Stop()
    running = asyncio.ensure_future(roller(redis_client, store, clock, metrics).run(stop))

    async def is_written(member: str) -> bool:
        return member in store.written

    async def hangs() -> bool:
        return store.before is None

    await eventually(hangs)
    await apply(Batch(positions=[position("a", NOON, "library")]))
    library = MINUTE.replace("campus", "library")
    await eventually(lambda: is_written(library))
    assert MINUTE not in store.written
    released.set()
    await eventually(lambda: is_written(MINUTE))
    stop.set()
    await running


async def test_what_the_store_will_never_take_is_a_dead_letter_once_and_the_rest_is_written(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a")
    store.refuses = lambda window: "unable to parse: too odd" if window.member == MINUTE else None
    rollup = roller(redis_client, store, clock, metrics)
    assert await rollup.step() == len(Width)
    assert await rollup.step() == 0
    [letter] = await dead_letters(redis_client)
    assert letter.reason is Reason.REJECTED_WINDOW
    assert letter.detail == f"the time-series store refused {MINUTE}: unable to parse: too odd"
    assert letter.payload is None
    assert len(store.written) == 3
    assert await waiting(redis_client, 1) == 0
    assert await redis_client.hget(TOTALS, "dead:rejected_window") == b"1"
    assert metrics.registry.get_sample_value("decoder_dead_letters_total", {"reason": "rejected_window"}) == 1
    assert metrics.registry.get_sample_value("decoder_refused_points_total") == 1
    assert metrics.registry.get_sample_value("decoder_rolled_up_windows_total") == 3


async def test_what_the_store_does_not_take_now_is_put_off_while_others_are_written(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a")

    async def one_bucket_is_gone() -> Written:
        return Written(undone=[Undone([Window.parse(MINUTE)], UnavailableError("no bucket"))])

    store.before = one_bucket_is_gone
    rollup = roller(redis_client, store, clock, metrics)
    assert await rollup.step() == len(Width)
    assert await rollup.step() == 0
    assert metrics.waiting == "1 window of rollup waits: no bucket"
    clock.now += 10_000
    assert await rollup.step() == 1
    assert store.written == {MINUTE: 1}
    assert metrics.waiting is None


@pytest.mark.parametrize(
    "name",
    [
        "nonsense",
        "",
        "7m:1550480100000:campus:car",
        "5m:1550480100000:campus:tram",
        "5m:x:campus:car",
        "\xff\xfe",
        "a" * 500,
    ],
)
async def test_a_name_that_is_no_window_is_a_dead_letter_once_and_the_rest_is_written(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics, name: str
) -> None:
    """Such as a window of a kind that a newer version has."""
    raw = name.encode("latin-1")
    await redis_client.zadd("dirty:{0}", {raw: 1})
    await redis_client.sadd(b"window:" + raw, "a", "b")
    await observed(apply, "a")
    rollup = roller(redis_client, store, clock, metrics)
    assert await rollup.step() == len(Width) + 1
    assert await rollup.step() == 0
    [letter] = await dead_letters(redis_client)
    assert letter.reason is Reason.MALFORMED_WINDOW
    assert letter.detail == f"{repr(raw[:120])[1:]}, which has changed, is no window that this version knows"
    assert len(store.written) == len(Width)
    assert await waiting(redis_client, 1) == 0
    # It is there still for a version that can read it.
    assert await redis_client.scard(b"window:" + raw) == 2


async def test_a_window_whose_count_is_none_is_a_dead_letter_and_the_rest_is_written(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a")
    await redis_client.hset(*MINUTE_COUNTER, "text")
    rollup = roller(redis_client, store, clock, metrics)
    assert await rollup.step() == len(Width)
    [letter] = await dead_letters(redis_client)
    assert letter.reason is Reason.MALFORMED_WINDOW
    assert len(store.written) == 3
    assert await waiting(redis_client, 1) == 0


async def test_names_alone_that_are_no_windows_do_not_stop_the_roll_up(
    redis_client: Redis, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await redis_client.zadd("dirty:{0}", {f"bad-{number}": number for number in range(150)})
    rollup = roller(redis_client, store, clock, metrics)
    assert [await rollup.step() for _ in range(3)] == [100, 50, 0]
    assert await waiting(redis_client, 1) == 0
    assert len(await dead_letters(redis_client)) == 100  # as many as are kept
    assert await redis_client.hget(TOTALS, "dead:malformed_window") == b"150"


async def test_what_becomes_of_windows_and_points_is_counted(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a")
    await redis_client.hdel(*MINUTE_COUNTER)

    async def away() -> None:
        raise UnavailableError("out for lunch", retry_after=0.001)

    async def refuse_one() -> Written:
        return Written(expired=1)

    store.before = away
    rollup = roller(redis_client, store, clock, metrics)
    assert await rollup.step() == len(Width)
    store.before = refuse_one
    await observed(apply, "b")
    assert await rollup.step() == len(Width)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"decoder_{name}", labels)

    # The minute lapsed, and was told once although there were two attempts; the other three were written, then all
    # four, of which one was refused.
    assert value("lapsed_windows_total") == 1
    assert value("refused_points_total") == 1
    assert value("rolled_up_windows_total") == 3 + 4 - 1
    assert value("batch_entries_count", stage="rollup") == 2
    assert value("batch_entries_sum", stage="rollup") == 2 * len(Width)
    write = {"store": "timeseries", "operation": "write"}
    assert value("store_seconds_count", **write) == 3
    assert value("store_failures_total", **write) == 1
    assert value("unavailable_total", stage="rollup") == 1


async def test_a_store_that_is_away_delays_a_window_and_the_newest_count_is_written(
    redis_client: Redis,
    apply: Apply,
    store: StubStore,
    clock: HandClock,
    metrics: DecoderMetrics,
) -> None:
    await observed(apply, "a")

    async def away() -> None:
        await observed(apply, "b")
        raise UnavailableError("out for lunch", retry_after=0.001)

    store.before = away
    await roller(redis_client, store, clock, metrics).step()
    assert store.written[MINUTE] == 2
    assert await waiting(redis_client, 1) == 0


async def test_a_window_whose_count_has_lapsed_is_not_written_as_zero(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a")
    await redis_client.hdel(*MINUTE_COUNTER)
    await roller(redis_client, store, clock, metrics).step()
    assert MINUTE not in store.written
    assert await waiting(redis_client, 1) == 0


async def test_a_set_that_began_anew_lowers_nothing_and_may_raise(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    old = NOON - 14 * DAY
    windows = {width: window_start(width, old, DUBLIN) for width in Width}
    lower, higher = f"1m:{windows[Width.MINUTE]}:campus:car", f"1h:{windows[Width.HOUR]}:campus:car"
    store.written |= {lower: 7, higher: 1}
    await apply(Batch(positions=[position(device, old) for device in ("a", "b")]))
    await roller(redis_client, store, clock, metrics).step()
    assert store.written[lower] == 7
    assert store.written[higher] == 2
    # Those that nobody had counted are written, too.
    assert store.written[f"5m:{windows[Width.FIVE_MINUTES]}:campus:car"] == 2
    assert await waiting(redis_client, 1) == 0


@pytest.mark.parametrize("width", Width)
async def test_what_is_stored_is_asked_for_from_before_the_first_moment_at_which_a_set_may_have_lapsed(
    redis_client: Redis,
    apply: Apply,
    store: StubStore,
    clock: HandClock,
    metrics: DecoderMetrics,
    width: Width,
) -> None:
    start = window_start(width, NOON, DUBLIN)
    # A clock that is five minutes ahead sends the first position of a window before the window begins.
    lapse = start - 5 * 60_000 + nominal_ms[width] + KEEP_MS
    for now, asked in ((lapse, True), (lapse - 2 * HOUR, False)):
        store.reads.clear()
        clock.now = now
        await apply(Batch(positions=[position(f"device-{now}", start)]))
        await roller(redis_client, store, clock, metrics).step()
        assert (width in {read[2] for read in store.reads}) == asked


async def test_a_recent_window_follows_its_set_down(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    """Nothing is read for it: what its set says is so."""
    store.written[MINUTE] = 9
    await observed(apply, "a")
    await roller(redis_client, store, clock, metrics).step()
    assert store.written[MINUTE] == 1
    assert store.reads == []


async def test_what_is_stored_is_read_once_for_each_zone_and_kind_and_width(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    old = NOON - 14 * DAY
    await apply(Batch(positions=[position("a", old + minute * 60_000, "library") for minute in range(10)]))
    await apply(Batch(positions=[position("b", old, kind=MOBILE)]))
    while await roller(redis_client, store, clock, metrics).step():
        pass
    assert len(store.reads) == 3 * len(Width)
    read = {"store": "timeseries", "operation": "read"}
    assert metrics.registry.get_sample_value("decoder_store_seconds_count", read) == 1
    assert ("library", CAR, Width.MINUTE, old, old + 9 * 60_000 + 1) in store.reads


async def test_windows_that_are_years_apart_are_read_in_bounded_ranges(store: StubStore) -> None:
    starts = [0, 60_000, SPAN_WINDOWS * 60_000, 2 * SPAN_WINDOWS * 60_000 - 60_000, 10**12, 10**12 + 60_000]
    windows = [Window(Width.MINUTE, start, "campus", CAR) for start in starts]
    store.written |= {window.member: number for number, window in enumerate(windows[1:])}
    assert await stored_devices(store, windows) == {window: number for number, window in enumerate(windows[1:])}
    ranges = [(start, end) for *_, start, end in store.reads]
    assert ranges == [
        (0, 60_001),
        (SPAN_WINDOWS * 60_000, 2 * SPAN_WINDOWS * 60_000 - 59_999),
        (10**12, 10**12 + 60_001),
    ]


async def test_an_old_track_that_is_replayed_after_its_sets_lapsed_leaves_the_figures_as_they_were(
    redis_client: Redis, apply: Apply, clock: HandClock, metrics: DecoderMetrics, tmp_path: Path
) -> None:
    old = NOON - 400 * DAY
    track = [
        position(f"device-{number % 4}", old + number * 40_000, *(["library"] if number % 3 else []))
        for number in range(60)
    ]
    async with open_store(TimeseriesSettings(data_dir=tmp_path)) as store:
        await store.setup()
        rollup = roller(redis_client, store, clock, metrics)
        await apply(Batch(positions=track))
        while await rollup.step():
            pass
        first = await everything(store)
        assert max(first.values()) == 4
        for pattern in ("count:*", "seen:*", "life:*"):
            lapsed = [key async for key in redis_client.scan_iter(pattern)]
            await redis_client.delete(*lapsed)
        # One position at a time: each set begins with fewer devices than are stored.
        for each in reversed(track):
            await apply(Batch(positions=[each]))
            await rollup.step()
            assert await everything(store) == first
        # What is new raises them, as far as its set goes.
        await apply(Batch(positions=[position(f"new-{number}", old) for number in range(5)]))
        await rollup.step()
        (point,) = await store.history(zone="campus", kind=CAR, width=Width.MINUTE, start=old, end=old + 1)
        assert point.devices == 7


async def test_the_embedded_store_holds_what_was_rolled_up(
    redis_client: Redis, apply: Apply, clock: HandClock, metrics: DecoderMetrics, tmp_path: Path
) -> None:
    await observed(apply, "a", "b", "c")
    async with open_store(TimeseriesSettings(data_dir=tmp_path)) as store:
        await store.setup()
        await roller(redis_client, store, clock, metrics).step()
        (point,) = await store.history(zone="campus", kind=CAR, width=Width.MINUTE, start=NOON, end=NOON + 60_000)
    assert point.devices == 3


async def exported(client: Redis) -> list[tuple[str, int]]:
    """Windows that were handed on, by start, width, zone and kind, with how many devices they had."""
    found = [each for fields in await entries(client, WINDOWS) for each in decode_windows(fields)]
    return [(f"{each.width}:{each.start}:{each.zone}:{each.kind}", each.devices) for each in found]


async def test_what_is_written_is_handed_on_and_what_is_refused_is_not(
    redis_client: Redis, apply: Apply, clock: HandClock, metrics: DecoderMetrics, store: StubStore
) -> None:
    await apply(Batch(positions=[position("a" * 32, NOON)]))
    store.refuses = lambda window: "no days" if window.width is Width.DAY else None
    assert await roller(redis_client, store, clock, metrics, export=WindowStream(redis_client)).step() == 4
    assert sorted(await exported(redis_client)) == [(f"{width}:{NOON}:campus:car", 1) for width in ("1h", "1m", "5m")]
    (fields,) = await entries(redis_client, WINDOWS)
    minute = next(each for each in decode_windows(fields) if each.width == "1m")
    assert (minute.end, minute.written_at) == (NOON + 60_000, clock())


async def test_windows_that_could_not_be_handed_on_are_due_again(
    redis_client: Redis, apply: Apply, clock: HandClock, metrics: DecoderMetrics, store: StubStore, impatient: None
) -> None:
    del impatient

    class AwayOnce(WindowStream):
        asked = 0

        async def append(self, windows: Sequence[ExportedWindow]) -> int:
            self.asked += 1
            if self.asked == 1:
                raise UnavailableError("Redis does not answer")
            return await super().append(windows)

    await apply(Batch(positions=[position("a" * 32, NOON)]))
    stream = AwayOnce(redis_client)
    await roller(redis_client, store, clock, metrics, export=stream).step()
    assert stream.asked == 2
    assert len(await exported(redis_client)) == 4
    assert await waiting(redis_client, 1) == 0
