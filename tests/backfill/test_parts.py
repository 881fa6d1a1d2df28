"""A backfill in parts gives what it would give in one piece, whatever goes away on the way."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import documents
from backfill import store_retry
from backfill.parts import part_of, whole_windows
from backfill.recompute import Backfill, Outcome
from core.clock import parse_rfc3339
from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from core.messages import Position
from core.windows import window_end, windows_between
from documents import Document, DocumentSettings, DocumentStore
from tests.backfill.test_recompute import Silent
from tests.kinds_of_tests import CAR
from tests.timeseries.live import everything, position
from timeseries import OccupancyPoint, TimeseriesSettings, TimeseriesStore, Width, Window, open_store, window_start

HOUR = 3_600_000
DAY = 24 * HOUR
# Days of 23 and 25 hours; days that begin at half past and at a quarter to of UTC; clocks that change by half an hour.
AROUND = [
    ("Europe/Dublin", "2026-03-29T01:00:00Z"),
    ("Europe/Dublin", "2026-10-25T01:00:00Z"),
    ("Asia/Kolkata", "2026-05-01T18:30:00Z"),
    ("Asia/Kathmandu", "2026-05-01T18:15:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("America/St_Johns", "2026-11-01T04:30:00Z"),
]


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[DocumentStore]:
    async with documents.open_store(DocumentSettings(data_dir=tmp_path / "archive")) as opened:
        await opened.setup()
        yield opened


class Stores:
    """Empty occupancy stores, as many as are asked for."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._count = 0

    async def another(self) -> TimeseriesStore:
        self._count += 1
        folder = self._folder / str(self._count)
        store = await self._stack.enter_async_context(open_store(TimeseriesSettings(data_dir=folder)))
        await store.setup()
        return store


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    async with AsyncExitStack() as stack:
        yield Stores(tmp_path, stack)


def in_one_piece(positions: Sequence[Position], start: int, end: int, zone: ZoneInfo) -> dict[Window, int]:
    """The windows that have a part in a range, counted the slow, plain way."""
    ranges = whole_windows(start, end, zone)
    seen: dict[Window, set[str]] = {}
    for each in positions:
        for width, (first, last) in ranges.items():
            at = window_start(width, each.observed_at, zone)
            if first <= at < last:
                for name in each.zones:
                    seen.setdefault(Window(width, at, name, each.kind), set()).add(each.device)
    return {window: len(devices) for window, devices in seen.items()}


def traffic(dice: random.Random, middle: int, count: int = 200) -> list[Position]:
    """Some of it in the same few minutes; of one device at one instant there is one position, as of documents."""
    positions = {}
    for _ in range(count):
        kind = dice.choice(DEFAULT_KINDS.ids)
        device = f"{kind}-{dice.randrange(6)}"
        at = middle + dice.choice([dice.randrange(-60 * HOUR, 60 * HOUR), dice.randrange(-5, 5) * 60_000])
        positions[device, at] = position(device, at, dice.choice(["library", "foundation"]), kind=kind)
    return list(positions.values())


@pytest.mark.parametrize(("name", "change"), AROUND)
def test_every_window_is_in_exactly_one_part_and_its_documents_are_read_with_it(name: str, change: str) -> None:
    zone, middle = ZoneInfo(name), parse_rfc3339(change)
    dice = random.Random(change)  # noqa: S311 - the same ranges at every run
    for _ in range(30):
        start = middle + dice.randrange(-50 * HOUR, 50 * HOUR)
        end = start + dice.randrange(1, 60 * HOUR)
        ranges = whole_windows(start, end, zone)
        wanted = [(width, at) for width in Width for at in windows_between(width, start, end, zone)]
        found = []
        for day in windows_between(Width.DAY, start, end, zone):
            part = part_of(ranges, day, zone)
            for width, (first, last) in part.windows.items():
                for at in windows_between(width, first, last, zone):
                    if first <= at < last:
                        found.append((width, at))
                        assert part.start <= at
                        assert window_end(width, at, zone) <= part.end
        assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize(("name", "change"), AROUND)
async def test_parts_come_to_what_one_piece_comes_to(
    archive: DocumentStore, stores: Stores, name: str, change: str
) -> None:
    zone, middle = ZoneInfo(name), parse_rfc3339(change)
    dice = random.Random(change)  # noqa: S311
    positions = traffic(dice, middle)
    await archive.put(positions)
    for _ in range(4):
        start = middle + dice.randrange(-70 * HOUR, 50 * HOUR)
        end = start + dice.randrange(1, 80 * HOUR)
        store = await stores.another()
        outcome = await Backfill(
            documents=archive, store=store, zone=zone, start=start, end=end, now=middle + 30 * DAY
        ).run(Silent())
        expected = in_one_piece(positions, start, end, zone)
        assert await everything(store) == expected
        assert sum(tally.changed for tally in outcome.tallies.values()) == len(expected)
        days = whole_windows(start, end, zone)[Width.DAY]
        assert outcome.documents == sum(days[0] <= each.observed_at < days[1] for each in positions)


async def test_only_documents_of_the_days_that_are_asked_for_are_read(archive: DocumentStore, stores: Stores) -> None:
    nine = parse_rfc3339("2026-02-10T09:00:00Z")
    await archive.put([position("a", nine + number * HOUR) for number in range(-240, 240)])
    silent = Silent()
    work = Backfill(
        documents=archive,
        store=await stores.another(),
        zone=ZoneInfo("Europe/Dublin"),
        start=nine,
        end=nine + 25 * 60_000,
        now=nine + 30 * DAY,
    )
    await work.run(silent)
    assert silent.documents == 24


class Flaky:
    """A document store that goes away after every few documents."""

    def __init__(self, store: DocumentStore, *, every: int, until: int = 10**9) -> None:
        self._store = store
        self._every = every
        self._left = until

    async def scan(
        self, *, page: int = 500, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[Document]:
        given = 0
        async for document in self._store.scan(page=page, start=start, end=end):
            if given == self._every and self._left > 0:
                self._left -= 1
                raise UnavailableError("the document store is slow", retry_after=0.0001)
            given += 1
            yield document


class FlakySeries:
    """An occupancy store of which every third call fails, after it was done."""

    def __init__(self, store: TimeseriesStore) -> None:
        self._store = store
        self._calls = 0

    def __getattr__(self, name: str) -> object:
        whole = getattr(self._store, name)

        async def call(*given: object, **named: object) -> object:
            answer = await whole(*given, **named)
            self._calls += 1
            if self._calls % 3 == 0:
                raise UnavailableError("the series are slow", retry_after=0.0001)
            return answer

        return call


async def run(
    archive: object, store: object, positions: Sequence[Position], start: int | None = None
) -> tuple[Outcome, Silent]:
    zone, silent = ZoneInfo("Europe/Dublin"), Silent()
    first, last = min(each.observed_at for each in positions), max(each.observed_at for each in positions)
    work = Backfill(
        documents=archive,  # type: ignore[arg-type]  # what a backfill asks of them, they have
        store=store,  # type: ignore[arg-type]
        zone=zone,
        start=first if start is None else start,
        end=last + 1,
        now=last + 30 * DAY,
    )
    try:
        return await work.run(silent), silent
    except UnavailableError as error:
        error.silent = silent  # type: ignore[attr-defined]  # how far it was
        raise


async def test_stores_that_go_away_again_and_again_are_waited_for(archive: DocumentStore, stores: Stores) -> None:
    middle = parse_rfc3339("2026-10-25T01:00:00Z")
    positions = traffic(random.Random(7), middle)  # noqa: S311
    await archive.put(positions)
    plain, flaky = await stores.another(), await stores.another()
    expected, _ = await run(archive, plain, positions)
    outcome, silent = await run(Flaky(archive, every=20), FlakySeries(flaky), positions)
    assert await everything(flaky) == await everything(plain)
    assert outcome.documents == expected.documents
    assert {"the document store is slow", "the series are slow", None} <= set(silent.waited)
    assert silent.waited[-1] is None


async def test_a_store_that_stays_away_ends_it_and_it_goes_on_from_the_last_day_that_is_done(
    archive: DocumentStore, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_retry, "LASTING_SECONDS", -1)
    middle = parse_rfc3339("2026-03-29T01:00:00Z")
    positions = traffic(random.Random(8), middle)  # noqa: S311
    await archive.put(positions)
    plain, broken = await stores.another(), await stores.another()
    await run(archive, plain, positions)
    with pytest.raises(UnavailableError, match="the document store is slow") as ended:
        await run(Flaky(archive, every=50), broken, positions)
    until = ended.value.silent.until[-1]  # type: ignore[attr-defined]
    assert 0 < len(await everything(broken)) < len(await everything(plain))
    _, silent = await run(archive, broken, positions, start=until)
    assert await everything(broken) == await everything(plain)
    assert silent.days is not None
    assert silent.days[0] == until


async def test_a_store_that_never_answered_is_told_of_at_once(archive: DocumentStore, stores: Stores) -> None:
    positions = [position("a", parse_rfc3339("2026-02-10T09:00:00Z"))]
    await archive.put(positions)
    with pytest.raises(UnavailableError, match="the document store is slow"):
        await run(Flaky(archive, every=0, until=1), await stores.another(), positions)


async def test_years_in_which_there_is_nothing_are_passed_over(archive: DocumentStore, stores: Stores) -> None:
    store = await stores.another()
    early, late = parse_rfc3339("1971-02-10T09:00:00Z"), parse_rfc3339("2026-02-10T09:00:00Z")
    gone = Window(Width.MINUTE, parse_rfc3339("1999-01-01T00:00:00Z"), "campus", CAR)
    await archive.put([position("a", early), position("a", late)])
    await store.write([OccupancyPoint(gone, 5)])
    silent = Silent()
    await Backfill(
        documents=archive,
        store=store,
        zone=ZoneInfo("Europe/Dublin"),
        start=early - 365 * DAY,
        end=late + 365 * DAY,
        now=late + 800 * DAY,
        lower=True,
    ).run(silent)
    assert len(silent.until) == 4
    found = await everything(store)
    assert found.pop(gone) == 0
    assert len(found) == 8
