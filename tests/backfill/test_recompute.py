"""Windows recomputed from the documents."""

import itertools
import random
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

import documents
from backfill.recompute import Backfill, Outcome
from core.clock import parse_rfc3339
from core.kinds import DEFAULT_KINDS
from documents import DocumentSettings, DocumentStore
from tests.decoder.conftest import LIBRARY, HandClock
from tests.influxd.server import InfluxServer
from tests.kinds_of_tests import CAR, MOBILE
from tests.timeseries.live import DUBLIN, Live, counted, everything, position
from timeseries import (
    Coverage,
    OccupancyPoint,
    TimeseriesSettings,
    TimeseriesStore,
    Width,
    Window,
    open_store,
    window_start,
)

LIVE_MS = 172_800_000
KEEP_MS = 172_800_000

HOUR = 3_600_000
DAY = 24 * HOUR
NINE = parse_rfc3339("2026-02-10T09:00:00Z")
LATER = NINE + 30 * DAY
"""The present of backfills: the live path is done with all windows of then."""


class Silent:
    """Hears how far it is, and tells nobody."""

    def __init__(self) -> None:
        self.days: tuple[int, int] | None = None
        self.documents = 0
        self.until: list[int] = []
        self.waited: list[str | None] = []

    def begin(self, start: int, end: int) -> None:
        self.days = start, end

    def read(self) -> None:
        self.documents += 1

    def done(self, until: int) -> None:
        self.until.append(until)

    def waits(self, reason: str | None) -> None:
        self.waited.append(reason)


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[DocumentStore]:
    async with documents.open_store(DocumentSettings(data_dir=tmp_path / "archive")) as opened:
        await opened.setup()
        yield opened


@pytest.fixture(params=["sqlite", pytest.param("influxdb", marks=pytest.mark.e2e)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TimeseriesStore]:
    settings = {"data_dir": str(tmp_path / "series")}
    if request.param == "influxdb":
        server: InfluxServer = request.getfixturevalue("influxd")
        settings |= {name.lower(): value for name, value in server.environment.items()}
        settings["influxdb_bucket_prefix"] = f"backfill-{uuid.uuid4().hex[:12]}"
    async with open_store(TimeseriesSettings.model_validate(settings)) as opened:
        await opened.setup()
        yield opened


async def backfill(
    archive: DocumentStore,
    store: TimeseriesStore,
    start: int,
    end: int,
    *,
    now: int = LATER,
    lower: bool | None = None,
    dry_run: bool = False,
) -> Outcome:
    work = Backfill(
        documents=archive, store=store, zone=DUBLIN, start=start, end=end, now=now, lower=lower, dry_run=dry_run
    )
    return await work.run(Silent())


@pytest.mark.parametrize("change", ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"], ids=["23 hours", "25 hours"])
async def test_a_backfill_gives_the_points_of_the_live_path_also_around_a_change_of_the_clocks(
    redis_client: Redis, archive: DocumentStore, store: TimeseriesStore, tmp_path: Path, change: str
) -> None:
    dice = random.Random(change)  # noqa: S311 - the same traffic at every run
    middle = parse_rfc3339(change)
    clock = HandClock(middle + 2 * DAY)
    async with Live(client=redis_client, clock=clock, folder=tmp_path, store=store, archive=archive) as live:
        for _ in range(400):
            kind = dice.choice(DEFAULT_KINDS.ids)
            place = (LIBRARY[0] + dice.uniform(-0.006, 0.006), LIBRARY[1] + dice.uniform(-0.006, 0.006))
            at = middle + dice.randrange(-36 * HOUR, 36 * HOUR) // dice.choice([1, 30])
            await live.accept(f"{kind}-{dice.randrange(12)}", kind, place, at)
        await live.done()
    by_live = await everything(store)
    days = sorted({window.start for window in by_live if window.width is Width.DAY})
    assert {after - before for before, after in itertools.pairwise(days)} - {DAY} == (
        {23 * HOUR} if change < "2026-06" else {25 * HOUR}
    )
    assert len({window.zone for window in by_live}) > 5
    assert max(by_live.values()) > 10

    start, end = min(days), max(days) + DAY
    async with open_store(TimeseriesSettings(data_dir=tmp_path / "anew")) as anew:
        await anew.setup()
        outcome = await backfill(archive, anew, start, end)
        assert await everything(anew) == by_live
    assert sum(tally.changed for tally in outcome.tallies.values()) == len(by_live)
    # And there is nothing to be changed in what the live path wrote.
    outcome = await backfill(archive, store, start, end)
    assert {width: tally.changed + tally.kept for width, tally in outcome.tallies.items()} == dict.fromkeys(Width, 0)
    assert sum(tally.windows for tally in outcome.tallies.values()) == len(by_live)


async def test_the_range_grows_to_whole_windows_and_no_further(archive: DocumentStore, store: TimeseriesStore) -> None:
    positions = [position(f"device-{hour}", NINE + hour * HOUR, "library") for hour in range(-60, 60)]
    await archive.put(positions)
    outcome = await backfill(archive, store, NINE + 61_000, NINE + 62_000)
    found = await everything(store)
    day = window_start(Width.DAY, NINE, DUBLIN)
    expected = {
        window: devices
        for window, devices in counted(positions).items()
        if window.start == {Width.DAY: day, Width.HOUR: NINE, Width.FIVE_MINUTES: NINE}.get(window.width)
    }
    assert found == expected
    assert found[Window(Width.DAY, day, "library", CAR)] == 24
    assert outcome.documents == 24


@pytest.mark.parametrize("sampled", [False, True], ids=["every position", "samples"])
async def test_every_zone_and_kind_and_width_is_counted(
    archive: DocumentStore, store: TimeseriesStore, *, sampled: bool
) -> None:
    dice = random.Random(4)  # noqa: S311
    positions = [
        position(
            f"{kind}-{dice.randrange(9)}", NINE + dice.randrange(DAY), dice.choice(["library", "foundation"]), kind=kind
        )
        for kind in DEFAULT_KINDS.ids
        for _ in range(300)
    ]
    await archive.put(positions, **({"key": documents.sample_id} if sampled else {}))
    await backfill(archive, store, NINE, NINE + DAY)
    assert await everything(store) == counted(positions)


async def test_a_window_without_a_device_gets_a_zero_only_where_it_had_a_point(
    archive: DocumentStore, store: TimeseriesStore
) -> None:
    await archive.put([position("a", NINE - 2 * DAY), position("a", NINE)])
    gone = Window(Width.MINUTE, NINE + 60_000, "closed", MOBILE)
    outside = Window(Width.MINUTE, NINE + 10 * 60_000, "closed", MOBILE)
    await store.write([OccupancyPoint(gone, 5), OccupancyPoint(outside, 5)])
    outcome = await backfill(archive, store, NINE, NINE + 5 * 60_000)
    found = await everything(store)
    assert (found.pop(gone), found.pop(outside)) == (0, 5)
    assert found == counted([position("a", NINE)])
    assert outcome.tallies[Width.MINUTE].zeroed == 1


@pytest.mark.parametrize(
    ("now", "oldest", "lower", "expected"),
    [
        (LATER, NINE - DAY, None, 1),
        (LATER, NINE - DAY, False, 9),
        # Older documents may have been dropped.
        (LATER, NINE + 1, None, 9),
        (LATER, NINE + 1, True, 1),
        # A month may have been dropped although an older one has documents: a track that was replayed since.
        (LATER, NINE - 40 * DAY, None, 9),
        # Positions may still wait to be archived.
        (NINE + 60_000 + LIVE_MS - 1, NINE - DAY, None, 9),
        (NINE + 60_000 + LIVE_MS, NINE - DAY, None, 1),
        (NINE + 60_000 + LIVE_MS - 1, NINE - DAY, True, 1),
    ],
)
async def test_a_figure_is_lowered_only_where_the_documents_are_all_there_were(
    archive: DocumentStore, store: TimeseriesStore, *, now: int, oldest: int, lower: bool | None, expected: int
) -> None:
    await archive.put([position("a", oldest), position("a", NINE + 1)])
    minute = Window(Width.MINUTE, NINE, "campus", CAR)
    await store.write([OccupancyPoint(minute, 9)])
    outcome = await backfill(archive, store, NINE, NINE + 60_000, now=now, lower=lower)
    assert (await everything(store))[minute] == expected
    assert outcome.tallies[Width.MINUTE].kept == (expected == 9)


@pytest.mark.parametrize(("complete_from", "expected"), [(NINE, 1), (NINE + 1, 9)])
async def test_a_figure_from_before_the_time_for_which_documents_are_kept_is_not_lowered(
    archive: DocumentStore, store: TimeseriesStore, complete_from: int, expected: int
) -> None:
    """The month was dropped, and then a late position came."""
    await archive.put([position("a", NINE - DAY), position("a", NINE + 1)])
    minute = Window(Width.MINUTE, NINE, "campus", CAR)
    await store.write([OccupancyPoint(minute, 9)])
    work = Backfill(
        documents=archive,
        store=store,
        zone=DUBLIN,
        start=NINE,
        end=NINE + 60_000,
        now=LATER,
        complete_from=complete_from,
    )
    await work.run(Silent())
    assert (await everything(store))[minute] == expected


async def test_without_any_document_nothing_is_lowered(archive: DocumentStore, store: TimeseriesStore) -> None:
    """The wrong folder, or the wrong database."""
    minute = Window(Width.MINUTE, NINE, "campus", CAR)
    await store.write([OccupancyPoint(minute, 9)])
    await backfill(archive, store, NINE, NINE + DAY)
    assert await everything(store) == {minute: 9}


async def test_a_figure_that_is_too_low_is_raised_whatever_its_age(
    archive: DocumentStore, store: TimeseriesStore
) -> None:
    await archive.put([position("a", NINE), position("b", NINE)])
    minute = Window(Width.MINUTE, NINE, "campus", CAR)
    await store.write([OccupancyPoint(minute, 1)])
    await backfill(archive, store, NINE, NINE + 1, now=NINE + 1, lower=False)
    assert (await everything(store))[minute] == 2


async def test_a_dry_run_says_the_same_and_writes_nothing(archive: DocumentStore, store: TimeseriesStore) -> None:
    await archive.put([position("a", NINE - DAY), position("a", NINE)])
    minute = Window(Width.MINUTE, NINE + 60_000, "campus", CAR)
    await store.write([OccupancyPoint(minute, 9)])
    dry = await backfill(archive, store, NINE, NINE + DAY, dry_run=True)
    assert await everything(store) == {minute: 9}
    assert dry == await backfill(archive, store, NINE, NINE + DAY)
    assert dry.tallies[Width.MINUTE].changed == 2


async def test_progress_is_told(archive: DocumentStore, store: TimeseriesStore) -> None:
    await archive.put([position("a", NINE + number) for number in range(7)])
    await archive.put([position("a", NINE + 2 * DAY)])
    silent = Silent()
    end = NINE + 2 * DAY + 1
    await Backfill(documents=archive, store=store, zone=DUBLIN, start=NINE, end=end, now=LATER).run(silent)
    midnight = NINE - 9 * HOUR
    assert silent.days == (midnight, midnight + 3 * DAY)
    assert silent.documents == 8
    # The second day has no document, and is passed over.
    assert silent.until == [midnight + DAY, midnight + 3 * DAY, midnight + 3 * DAY]


@pytest.mark.parametrize(("start", "end"), [(NINE, NINE), (NINE, NINE - 1), (0, 253_402_300_799_999)])
async def test_a_range_that_cannot_be_is_refused(
    archive: DocumentStore, store: TimeseriesStore, start: int, end: int
) -> None:
    with pytest.raises(ValueError, match=r"range|years"):
        await backfill(archive, store, start, end)


def test_the_live_path_is_left_alone_for_as_long_as_its_sets_live() -> None:
    assert LIVE_MS == KEEP_MS


async def test_a_backfill_knows_which_minutes_were_recorded_and_takes_none_away(
    archive: DocumentStore, store: TimeseriesStore
) -> None:
    await archive.put(
        [
            position("one", NINE, "kemmy"),
            position("two", NINE + 59 * 60_000, kind=MOBILE),
            position("one", NINE + 59 * 60_000 + 59_999),
        ]
    )
    await store.write_coverage([Coverage("campus", CAR, NINE, 0b10)])

    await backfill(archive, store, NINE, NINE + HOUR, dry_run=True)
    assert await store.coverage(MOBILE, start=0, end=LATER) == []
    for _ in range(2):
        await backfill(archive, store, NINE, NINE + HOUR)

    first = 1 << 59
    assert await store.coverage(CAR, start=0, end=LATER) == [
        Coverage("campus", CAR, NINE, first | 0b11),
        Coverage("kemmy", CAR, NINE, first | 0b1),
    ]
    # Nobody was in this zone, and it would have been seen.
    assert await store.coverage(MOBILE, start=0, end=LATER) == [
        Coverage("campus", MOBILE, NINE, 0b1),
        Coverage("kemmy", MOBILE, NINE, 0b1),
    ]
