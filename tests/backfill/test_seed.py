"""A history of fenced positions, written straight into the stores."""

import asyncio
import gzip
import json
import random
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

import documents
from backfill import seed_command
from backfill.__main__ import app
from backfill.ordered_windows import OrderedWindows
from backfill.seed import AlreadyThereError, Seed, Seeded, setup
from backfill.seed_lines import BadLineError, FencedPosition, Lines, parse
from core.clock import parse_rfc3339
from core.kinds import DEFAULT_KINDS
from documents import DocumentSettings
from geofence import cell
from runtime.devices import DeviceHasher
from tests.kinds_of_tests import CAR, MOBILE
from tests.timeseries.live import counted, everything
from timeseries import TimeseriesSettings, Width, Window, open_store, window_start
from timeseries.distinct import DistinctDevices

DUBLIN = ZoneInfo("Europe/Dublin")
HASHER = DeviceHasher(bytes(range(32)))
HOUR = 3_600_000
DAY = 24 * HOUR
NOW = parse_rfc3339("2026-02-12T15:30:00Z")
NINE = parse_rfc3339("2026-02-11T09:00:00Z")
"""On the day before."""


def line(at: int, device: str = "phone-7", kind: str = "mobile", *zones: str) -> FencedPosition:
    return FencedPosition(at, device, kind, ["campus", *zones], -8.5734, 52.6733)


async def chunks(*positions: FencedPosition, size: int = 3) -> AsyncIterator[Lines]:
    for before in range(0, len(positions), size):
        yield before, list(positions[before : before + size])


class Written:
    """What a seed has left in both stores."""

    def __init__(self, folder: Path, *, zone: ZoneInfo = DUBLIN, now: int = NOW, documents_ms: int = DAY) -> None:
        self._folder = folder
        self._settings = {"zone": zone, "now": now, "documents_ms": documents_ms}
        self.days: list[int] = []

    async def seed(self, *positions: FencedPosition, over: bool = False) -> Seeded:
        series, archive = TimeseriesSettings(data_dir=self._folder), DocumentSettings(data_dir=self._folder)
        async with open_store(series) as store, documents.open_store(archive) as found:
            seed = Seed(
                store=store,
                documents=found,
                kinds=DEFAULT_KINDS,
                hasher=HASHER,
                over=over,
                **self._settings,  # type: ignore[arg-type]  # three names, each of its own type
            )
            await setup(store, found, self._waits)
            try:
                return await seed.run(chunks(*positions), done=self.days.append, waits=self._waits)
            finally:
                self.points = await everything(store)
                self.documents = [documents.from_document(each) async for each in found.scan()]
                self.coverage = {
                    (each.zone, each.kind, each.hour): each.minutes.bit_count()
                    for kind in DEFAULT_KINDS.ids
                    for each in await store.coverage(kind, start=0, end=10**14)
                }

    def _waits(self, reason: str | None) -> None:
        raise AssertionError(reason)


def day_of(at: int, kind: str = "mobile", zone: str = "campus") -> Window:
    return Window(Width.DAY, window_start(Width.DAY, at, DUBLIN), zone, DEFAULT_KINDS.parse(kind))


async def test_each_window_has_the_distinct_devices_of_its_positions(tmp_path: Path) -> None:
    written = Written(tmp_path)

    seeded = await written.seed(
        line(NINE, "a", "mobile", "main"),
        line(NINE + 1000, "a", "mobile", "main"),
        line(NINE + 2000, "b", "mobile"),
        line(NINE + 2000, "a", "car"),
        line(NINE + 61_000, "c", "mobile", "main"),
    )

    assert seeded.positions == 5
    assert {
        (window.width.value, window.start - NINE, window.zone, window.kind): devices
        for window, devices in written.points.items()
        if window.width is not Width.DAY
    } == {
        ("1m", 0, "campus", "mobile"): 2,
        ("1m", 0, "main", "mobile"): 1,
        ("1m", 0, "campus", "car"): 1,
        ("1m", 60_000, "campus", "mobile"): 1,
        ("1m", 60_000, "main", "mobile"): 1,
        ("5m", 0, "campus", "mobile"): 3,
        ("5m", 0, "main", "mobile"): 2,
        ("5m", 0, "campus", "car"): 1,
        ("1h", 0, "campus", "mobile"): 3,
        ("1h", 0, "main", "mobile"): 2,
        ("1h", 0, "campus", "car"): 1,
    }
    assert written.points[day_of(NINE)] == 3
    assert seeded.points == len(written.points) == 14


@pytest.mark.parametrize(
    ("zone", "around"),
    [
        ("Europe/Dublin", "2026-03-29T00:30:00Z"),  # a day of 23 hours
        ("Europe/Dublin", "2026-10-25T01:30:00Z"),  # one of 25
        ("Asia/Kathmandu", "2026-05-01T18:15:00Z"),  # midnight is in the middle of an hour
    ],
)
def test_windows_that_are_closed_as_time_goes_on_are_those_of_any_order(zone: str, around: str) -> None:
    middle, campus, rng = parse_rfc3339(around), ZoneInfo(zone), random.Random(7)  # noqa: S311 - a fixed seed
    times = sorted(middle + rng.randrange(-DAY, DAY) for _ in range(3000))
    positions = [
        line(at, f"d{rng.randrange(40)}", rng.choice(["car", "mobile"]), rng.choice(["main", "kemmy"])) for at in times
    ]

    windows = OrderedWindows(zone=campus, kinds=DEFAULT_KINDS)
    found = [
        *(point for begin in range(0, 3000, 700) for point in windows.add(positions[begin : begin + 700], begin)),
        *windows.finish(),
    ]

    with DistinctDevices() as distinct:
        for each in positions:
            for width in Width:
                for name in each.zones:
                    start = window_start(width, each.at, campus)
                    distinct.add(Window(width, start, name, DEFAULT_KINDS.parse(each.kind)), each.device)
        expected = {
            Window(series[0], start, series[1], series[2]): devices
            for series in distinct.series()
            for start, devices in distinct.counts(series, 0, 10**14).items()
        }
    assert {point.window: point.devices for point in found} == expected
    assert len(found) == len(expected)


async def test_the_figures_are_those_of_the_documents(tmp_path: Path) -> None:
    rng = random.Random(1)  # noqa: S311 - a fixed seed
    times = sorted(NINE + rng.randrange(6 * HOUR) for _ in range(400))
    written = Written(tmp_path)

    await written.seed(*(line(at, f"d{rng.randrange(9)}", "mobile", "main") for at in times))

    assert len(written.documents) == len({(each.device, each.observed_at) for each in written.documents}) > 390
    assert written.points == counted(written.documents)


async def test_a_document_is_a_position_with_the_hash_of_its_device(tmp_path: Path) -> None:
    written = Written(tmp_path)

    await written.seed(line(NINE, "phone-7", "mobile", "main"))

    [found] = written.documents
    assert found.device == HASHER.hash(MOBILE, "phone-7")
    assert (found.kind, found.observed_at, found.received_at) == ("mobile", NINE, NINE)
    assert (found.longitude, found.latitude, found.zones) == (-8.5734, 52.6733, ("campus", "main"))
    assert found.cell == cell(-8.5734, 52.6733)


@pytest.mark.parametrize(("documents_ms", "kept"), [(DAY, 2), (2 * DAY, 3), (0, 0)])
async def test_only_positions_of_the_end_become_documents(tmp_path: Path, documents_ms: int, kept: int) -> None:
    written = Written(tmp_path, documents_ms=documents_ms)

    seeded = await written.seed(line(NINE - DAY), line(NINE), line(NINE + 1000))

    assert (seeded.documents, len(written.documents)) == (kept, kept)
    assert written.points[day_of(NINE - DAY)] == 1


async def test_nothing_of_the_present_day_is_written(tmp_path: Path) -> None:
    midnight = parse_rfc3339("2026-02-12T00:00:00Z")
    written = Written(tmp_path)

    seeded = await written.seed(line(midnight - 1), line(midnight), line(NOW + DAY))

    assert (seeded.positions, seeded.later) == (1, 2)
    assert {window.start for window in written.points} == {
        midnight - 60_000,
        midnight - 300_000,
        midnight - HOUR,
        midnight - DAY,
    }


async def test_an_hour_that_goes_on_after_the_last_midnight_is_left_to_the_live_path(tmp_path: Path) -> None:
    kathmandu = ZoneInfo("Asia/Kathmandu")
    midnight = parse_rfc3339("2026-02-11T18:15:00Z")
    written = Written(tmp_path, zone=kathmandu, now=NOW)

    await written.seed(line(midnight - 60_000))

    assert sorted(window.width.value for window in written.points) == ["1d", "1m", "5m"]


async def test_all_minutes_of_its_days_count_as_recorded_also_at_night(tmp_path: Path) -> None:
    written = Written(tmp_path)

    await written.seed(line(NINE - DAY, "a", "mobile", "main"), line(NINE, "a", "car"))

    hours = {
        (zone, kind, hour): 60
        for zone in ("campus", "main")
        for kind in (CAR, MOBILE)
        for hour in range(NINE - DAY - 9 * HOUR, NINE + 15 * HOUR, HOUR)
    }
    assert written.coverage == hours


async def test_what_it_is_asked_for_again_is_refused_and_with_over_gives_the_same(tmp_path: Path) -> None:
    lines = [line(NINE + second * 1000, f"d{second % 7}") for second in range(300)]
    written = Written(tmp_path)
    await written.seed(*lines)
    before = written.points, written.documents, written.coverage

    with pytest.raises(AlreadyThereError, match="campus has points of mobile from 2026-02-11T00:00:00Z on"):
        await written.seed(*lines)
    assert (written.points, written.documents, written.coverage) == before

    seeded = await written.seed(*lines, over=True)
    assert seeded.documents == 0
    assert (written.points, written.documents, written.coverage) == before


async def test_points_of_another_time_are_in_nobodys_way(tmp_path: Path) -> None:
    written = Written(tmp_path)
    await written.seed(line(NINE - 3 * DAY))

    await written.seed(line(NINE - DAY), line(NINE))

    assert [written.points[day_of(NINE - days * DAY)] for days in (3, 1, 0)] == [1, 1, 1]


async def test_it_says_which_days_are_written(tmp_path: Path) -> None:
    written = Written(tmp_path)

    await written.seed(*(line(NINE - days * DAY) for days in (3, 3, 3, 2, 2, 2, 0)))

    midnight = NINE - 9 * HOUR
    assert written.days == [midnight - 2 * DAY, midnight - DAY, midnight + DAY]


async def test_a_line_that_is_older_than_the_one_before_is_refused_by_its_number(tmp_path: Path) -> None:
    with pytest.raises(BadLineError, match=r"^line 5: older than the one before"):
        await Written(tmp_path).seed(*(line(NINE + minute * 60_000) for minute in (0, 1, 2, 3, 1)))


async def test_a_kind_that_is_none_is_refused_by_its_number(tmp_path: Path) -> None:
    with pytest.raises(BadLineError, match=r"^line 2: 'tram' is not one of car, mobile"):
        await Written(tmp_path).seed(line(NINE), line(NINE, "a", "tram"))


GOOD = b'{"at":1770800400000,"device":"d","kind":"car","zones":["campus"],"longitude":-8.5,"latitude":52,"more":1}\n'


def test_lines_are_read_and_empty_ones_left_out() -> None:
    assert parse([GOOD, b"\n", GOOD]) == [FencedPosition(1_770_800_400_000, "d", "car", ["campus"], -8.5, 52)] * 2


@pytest.mark.parametrize(
    "bad",
    [
        b"nothing\n",
        GOOD.replace(b"1770800400000", b'"2026"'),
        GOOD.replace(b'"d"', b'""'),
        GOOD.replace(b'["campus"]', b"[]"),
        GOOD.replace(b"52", b"90.1"),
        GOOD[:-20],
        b"\xff\n",
    ],
)
def test_a_line_that_is_none_is_named_by_its_number(bad: bytes) -> None:
    with pytest.raises(BadLineError, match=r"^line 12: "):
        parse([GOOD, bad, GOOD], 10)


@given(st.lists(st.binary() | st.just(GOOD)))
def test_any_bytes_are_lines_or_are_refused(lines: list[bytes]) -> None:
    try:
        found = parse(lines)
    except BadLineError:
        return
    assert all(1 <= len(each.device) <= 128 and HASHER.hash(CAR, each.device) for each in found)


# ------------------------------------------------------------------------------------------------- as it is typed


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(seed_command, "system_clock", lambda: NOW)
    return tmp_path


def text(positions: Iterable[FencedPosition]) -> str:
    return "".join(
        json.dumps(
            {
                "at": each.at,
                "device": each.device,
                "kind": each.kind,
                "zones": each.zones,
                "longitude": each.longitude,
                "latitude": each.latitude,
            }
        )
        + "\n"
        for each in positions
    )


def run(*arguments: str, given: str = "") -> Result:
    return CliRunner().invoke(app, ["seed", *arguments], input=given)


def stored_days() -> list[int]:
    async def ask() -> list[int]:
        async with open_store(TimeseriesSettings()) as store:
            points = await store.history(zone="campus", kind=MOBILE, width=Width.DAY, start=0, end=2 * NOW)
            return [point.devices for point in points]

    return asyncio.run(ask())


@pytest.mark.usefixtures("data")
def test_the_command_seeds_what_comes_through_a_pipe_and_says_what_it_did() -> None:
    result = run("-", given=text([line(NINE - DAY), line(NINE), line(NINE, "b"), line(NOW)]))

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("3 positions: 8 points of 1 zones and 2 new documents, in ")
    assert result.stderr == (
        "done until 2026-02-12T00:00:00Z\n1 positions are not older than the last midnight: left out\n"
    )
    assert stored_days() == [1, 2]


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("name", "value"), [("PRIVACY", "protected"), ("DEVICE_KEY_ROTATION", "week"), ("DEVICE_SOURCE", "true")]
)
def test_nothing_is_seeded_where_devices_have_several_hashes(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    result = run("-", given=text([line(NINE)]))
    assert (result.exit_code, result.stderr.startswith("DEVICE_KEY_ROTATION, DEVICE_SOURCE: ")) == (2, True)


@pytest.mark.usefixtures("data")
def test_with_the_archive_off_nothing_becomes_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHIVE", "off")

    assert run("-", given=text([line(NINE)])).stdout.startswith("1 positions: 4 points of 1 zones and 0 new documents")


def test_the_command_takes_a_packed_file(data: Path) -> None:
    file = data / "history.ndjson.gz"
    file.write_bytes(gzip.compress(text([line(NINE)]).encode()))

    assert run(str(file), "--documents", "0").exit_code == 0
    assert stored_days() == [1]

    file.write_bytes(file.read_bytes()[:-9])
    cut = run(str(file), "--over")
    assert cut.exit_code == 1
    assert "history.ndjson.gz" in cut.stderr


def test_what_is_done_once_is_not_done_again(data: Path) -> None:
    mark = data / "seeded"

    assert run("-", "--once", str(mark), given=text([line(NINE)])).exit_code == 0
    assert mark.read_text(encoding="utf-8").startswith("done at ")
    again = run("-", "--once", str(mark), given=text([line(NINE, "b"), line(NINE, "c")]))

    assert again.exit_code == 0
    assert "nothing is written" in again.stderr
    assert stored_days() == [1]


def test_what_was_interrupted_once_begins_anew_although_its_range_has_points(data: Path) -> None:
    mark = data / "seeded"

    broken = run("-", "--once", str(mark), given=text([line(NINE - DAY, "a"), line(NINE - DAY, "b")]))
    assert broken.exit_code == 0
    mark.write_text("begun at 2026-02-12T15:30:00Z\n")
    whole = run("-", "--once", str(mark), given=text([line(NINE - DAY), line(NINE)]))

    assert whole.exit_code == 0, whole.output
    assert mark.read_text(encoding="utf-8").startswith("done at ")
    assert stored_days() == [1, 1]


def test_what_was_interrupted_once_keeps_what_devices_have_done_since(data: Path) -> None:
    mark = data / "seeded"
    mark.write_text("begun at 2026-02-11T08:00:00Z\n")
    assert run("-", given=text([line(NINE - DAY, "a"), line(NINE - DAY, "b")])).exit_code == 0
    # What devices did on the day on which it was begun.
    lived = text([line(NINE, device) for device in ("real-1", "real-2", "real-3")])
    assert run("-", given=lived).exit_code == 0

    again = run("-", "--once", str(mark), given=text([line(NINE - DAY), line(NINE)]))

    assert again.exit_code == 0, again.output
    assert again.stdout.startswith("1 positions: ")
    assert mark.read_text(encoding="utf-8").startswith("done at ")
    assert stored_days() == [1, 3]


def test_what_was_interrupted_once_takes_the_days_since_if_nobody_was_there(data: Path) -> None:
    mark = data / "seeded"
    mark.write_text("begun at 2026-02-11T08:00:00Z\n")

    assert run("-", "--once", str(mark), given=text([line(NINE - DAY), line(NINE), line(NINE, "b")])).exit_code == 0
    assert stored_days() == [1, 2]


def test_a_seed_that_fails_is_begun_and_not_done(data: Path) -> None:
    mark = data / "seeded"
    # More than is read at once.
    good = text([line(NINE)]) * 5000

    result = run("-", "--once", str(mark), given=f"{good}no line\n")

    assert result.exit_code == 1
    assert "-: line 5001: " in result.stderr
    assert mark.read_text(encoding="utf-8").startswith("begun at ")


def test_a_system_that_has_a_history_of_its_own_keeps_it_and_is_not_asked_again(data: Path) -> None:
    mark = data / "seeded"
    assert run("-", given=text([line(NINE)])).exit_code == 0

    for _ in range(2):
        left = run("-", "--once", str(mark), given=text([line(NINE - DAY), line(NINE, "b"), line(NINE, "c")]))
        assert left.exit_code == 0
        assert "campus has points of mobile from 2026-02-11T00:00:00Z on: nothing is written" in left.stderr
        assert stored_days() == [1]
    assert mark.read_text(encoding="utf-8").startswith("left as it is, for campus has points")


def test_a_mark_that_cannot_be_kept_is_told_of(data: Path) -> None:
    result = run("-", "--once", str(data / "nowhere" / "mark"), given=text([line(NINE)]))

    assert result.exit_code == 1
    assert "nowhere" in result.stderr


@pytest.mark.usefixtures("data")
def test_the_command_refuses_a_range_that_has_points() -> None:
    assert run("-", given=text([line(NINE)])).exit_code == 0
    refused = run("-", given=text([line(NINE, "b")]))
    assert refused.exit_code == 1
    assert refused.stderr.endswith("--over writes in the place of those of the same windows\n")
    assert run("-", "--over", given=text([line(NINE), line(NINE, "b")])).exit_code == 0
    assert stored_days() == [2]


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("arguments", "words"), [(["nowhere.ndjson"], "nowhere.ndjson"), (["-", "--documents", "soon"], "--documents")]
)
def test_the_command_says_what_it_cannot_use(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code in {1, 2}
    assert words in result.stderr
