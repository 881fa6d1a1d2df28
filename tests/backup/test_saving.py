"""What a save reads anew, and when there is no backup of it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from backup.catalogue import Catalogue, Counted
from backup.manifest import Manifest, What, new_id
from backup.place import open_place
from backup.progress import Shown
from backup.saving import Saving
from backup.series import lines_of_day
from backup.settings import BackupPlaceSettings
from core.clock import system_clock
from core.errors import BadSettingsError, UnavailableError
from core.kinds import KindId
from core.windows import Width, Window
from state import restoring
from state.client import Redis
from timeseries.sqlite import SqliteOccupancyStore
from timeseries.store import OccupancyPoint

KEY = "ab" * 32
DAY = 86_400_000
NOON_OF_20_FEBRUARY = 1_771_588_800_000  # 2026-02-20T12:00:00Z
FIRST_OF_FEBRUARY = 1_769_904_000_000  # 2026-02-01T00:00:00Z
TENTH_OF_MARCH = 1_773_100_800_000  # 2026-03-10T00:00:00Z
RESTORE = "redis/20260301T120000Z-0001"


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    settings = BackupPlaceSettings(backup_url=f"file://{tmp_path}/backups", backup_key=KEY)
    return Catalogue(open_place(settings), bytes.fromhex(KEY))


@pytest.fixture
async def series(tmp_path: Path) -> AsyncIterator[SqliteOccupancyStore]:
    async with SqliteOccupancyStore(file=tmp_path / "series.db") as store:
        await store.setup()
        yield store


def point(at: int) -> OccupancyPoint:
    return OccupancyPoint(Window(Width.MINUTE, at, "campus", KindId("car")), 3)


async def of_documents(catalogue: Catalogue, month: str, at: int) -> None:
    async def data() -> AsyncIterator[bytes]:
        yield b""

    backup_id = new_id(at)
    part = await catalogue.write_part(What.DOCUMENTS, backup_id, month, data(), Counted(), now=at)
    await catalogue.write(Manifest(what=What.DOCUMENTS, id=backup_id, begun_at=at, ended_at=at, parts=(part,)))


def saving(redis: Redis, catalogue: Catalogue, now: int | None = None) -> Saving:
    clock: Callable[[], int] = system_clock if now is None else lambda: now
    return Saving(client=redis, catalogue=catalogue, shown=Shown(watched=False), clock=clock, keep_days=30)


def anew(manifest: Manifest) -> list[str]:
    return [part.name for part in manifest.parts if part.path.split("/")[1] == manifest.id]


async def test_a_day_that_is_over_is_saved_once_unless_its_documents_were_saved_anew_since(
    redis_client: Redis, catalogue: Catalogue, series: SqliteOccupancyStore
) -> None:
    days = [FIRST_OF_FEBRUARY - DAY, FIRST_OF_FEBRUARY, NOON_OF_20_FEBRUARY]
    await series.write([point(at) for at in days])
    names = ["2026-01-31", "2026-02-01", "2026-02-20"]
    assert anew(await saving(redis_client, catalogue, TENTH_OF_MARCH).series(series)) == names
    assert anew(await saving(redis_client, catalogue, TENTH_OF_MARCH + 1000).series(series)) == []
    # A gateway has sent positions of January.
    await of_documents(catalogue, "2026-01", TENTH_OF_MARCH + 2000)
    assert anew(await saving(redis_client, catalogue, TENTH_OF_MARCH + 3000).series(series)) == ["2026-01-31"]
    assert anew(await saving(redis_client, catalogue, TENTH_OF_MARCH + 4000).series(series)) == []
    # And of February: a day of the campus that begins in January may end there.
    await of_documents(catalogue, "2026-02", TENTH_OF_MARCH + 5000)
    assert anew(await saving(redis_client, catalogue, TENTH_OF_MARCH + 6000).series(series)) == names
    # Without that each is saved again after BACKUP_KEEP_DAYS.
    assert anew(await saving(redis_client, catalogue, TENTH_OF_MARCH + 31 * DAY).series(series)) == names


async def test_of_a_system_that_is_being_restored_nothing_is_saved(
    redis_client: Redis, catalogue: Catalogue, series: SqliteOccupancyStore
) -> None:
    await restoring.mark(redis_client, RESTORE)
    for save in (saving(redis_client, catalogue).redis, lambda: saving(redis_client, catalogue).series(series)):
        with pytest.raises(UnavailableError, match=f"the restore of {RESTORE} has not come to its end"):
            await save()
    assert [stored async for stored in catalogue.place.objects("series")] == []


async def test_a_restore_that_begins_meanwhile_leaves_it_without_a_manifest(
    redis_client: Redis, catalogue: Catalogue, series: SqliteOccupancyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lines(store: SqliteOccupancyStore, day: int, counted: Counted) -> AsyncIterator[bytes]:
        async for each in lines_of_day(store, day, counted):
            yield each
        await restoring.mark(redis_client, RESTORE)

    monkeypatch.setattr("backup.saving.lines_of_day", lines)
    await series.write([point(FIRST_OF_FEBRUARY)])
    with pytest.raises(UnavailableError, match=f"the restore of {RESTORE} has not come to its end"):
        await saving(redis_client, catalogue).series(series)
    assert len([stored async for stored in catalogue.place.objects("series")]) == 1
    assert await catalogue.ids(What.SERIES) == []


async def test_what_no_backup_can_have_is_asked_for_once(
    redis_client: Redis, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def dump(server: Redis) -> AsyncIterator[bytes]:
        asked.append(server)
        yield b"REDIS0011\x07\x01a\x00"

    monkeypatch.setattr("backup.saving.dump", dump)
    with pytest.raises(
        BadSettingsError, match="REDIS_URL: what it has cannot be backed up: Redis has data of a module"
    ):
        await saving(redis_client, catalogue).redis()
    assert len(asked) == 1


async def test_windows_that_are_too_many_are_asked_for_in_halves_down_to_a_minute(
    series: SqliteOccupancyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def too_many(_: Width, *, start: int, end: int) -> list[OccupancyPoint]:
        asked.append(end - start)
        raise ValueError("too many")

    monkeypatch.setattr(series, "windows", too_many)
    with pytest.raises(BadSettingsError, match="TIMESERIES_STORE: a minute of it cannot be read at once: too many"):
        [each async for each in lines_of_day(series, 20_000, Counted())]
    assert asked == [3_600_000, 1_800_000, 900_000, 450_000, 225_000, 112_500, 56_250]
