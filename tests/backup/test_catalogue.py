"""Backups in a folder and in a bucket: complete or not there, found, checked, and removed when they are old."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from backup.catalogue import Catalogue, Counted
from backup.manifest import Manifest, Part, What, new_id, time_of
from backup.place import open_place
from backup.sealing import DamagedError
from backup.settings import BackupPlaceSettings
from core.errors import BadSettingsError, UnavailableError
from tests.conftest import NOON

KEY = "ab" * 32
SECRET = "very-secret"  # noqa: S105 - of a server that is none
DAY = 86_400_000


async def data(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def saved(
    catalogue: Catalogue, at: int, *older: Part, text: bytes = b"text", what: What = What.SERIES
) -> Manifest:
    backup_id = new_id(at)
    part = await catalogue.write_part(what, backup_id, "2026-03-01", data(text), Counted(1), now=at)
    manifest = Manifest(what=what, id=backup_id, begun_at=at, ended_at=at + 1, parts=(part, *older))
    await catalogue.write(manifest)
    return manifest


async def paths(catalogue: Catalogue) -> set[str]:
    return {stored.path async for stored in catalogue.place.objects("series")}


async def text_of(catalogue: Catalogue, part: Part) -> bytes:
    return b"".join([piece async for piece in catalogue.open_part(part)])


async def test_a_backup_is_found_again_and_what_is_in_it(catalogue: Catalogue) -> None:
    assert await catalogue.ids(What.SERIES) == []
    assert await catalogue.newest(What.SERIES) is None
    first = await saved(catalogue, NOON, text=b"x" * 3_000_000)
    second = await saved(catalogue, NOON + 2000)
    assert await catalogue.ids(What.SERIES) == [second.id, first.id]
    assert await catalogue.ids(What.REDIS) == []
    assert await catalogue.newest(What.SERIES) == second
    assert await catalogue.newest(What.SERIES, until=NOON + 1999) == first
    assert await catalogue.newest(What.SERIES, until=NOON - 1) is None
    assert await text_of(catalogue, first.parts[0]) == b"x" * 3_000_000
    assert first.parts[0].size == sum([size async for size in catalogue.check(first.parts[0])])


async def test_what_has_no_manifest_is_no_backup(catalogue: Catalogue) -> None:
    await catalogue.write_part(What.SERIES, new_id(NOON), "2026-03-01", data(b"text"), Counted(), now=NOON)
    assert len(await paths(catalogue)) == 1
    assert await catalogue.ids(What.SERIES) == []


async def test_where_making_a_part_fails_nothing_of_it_is_there(catalogue: Catalogue) -> None:
    async def broken() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield bytes(range(256)) * 400
        raise UnavailableError("Redis broke its snapshot off")

    with pytest.raises(UnavailableError, match="Redis broke its snapshot off"):
        await catalogue.write_part(What.SERIES, new_id(NOON), "a", broken(), Counted(), now=NOON)
    assert await paths(catalogue) == set()


async def test_with_another_key_nothing_is_opened(catalogue: Catalogue) -> None:
    manifest = await saved(catalogue, NOON)
    other = Catalogue(catalogue.place, b"\1" * 32)
    assert await other.ids(What.SERIES) == [manifest.id]
    with pytest.raises(DamagedError, match="BACKUP_KEY is not that of this backup"):
        await other.read(What.SERIES, manifest.id)
    assert await other.newest(What.SERIES) is None


async def test_a_part_that_was_changed_or_removed_is_refused(catalogue: Catalogue) -> None:
    manifest = await saved(catalogue, NOON)
    (part,) = manifest.parts
    whole = b"".join([piece async for piece in catalogue.place.get(part.path)])
    for forged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        await catalogue.place.put(part.path, data(forged))
        with pytest.raises(DamagedError, match="is not what was saved"):
            [size async for size in catalogue.check(part)]
        with pytest.raises(DamagedError):
            await text_of(catalogue, part)
    await catalogue.place.remove(part.path)
    await catalogue.place.remove(part.path)
    for reading in (catalogue.check(part), catalogue.open_part(part)):
        with pytest.raises(DamagedError, match="is missing"):
            [piece async for piece in reading]


async def test_the_manifest_of_one_backup_is_none_of_another(catalogue: Catalogue) -> None:
    first, second = await saved(catalogue, NOON), await saved(catalogue, NOON + 5000)
    sealed = b"".join([piece async for piece in catalogue.place.get(f"series/{first.id}/manifest")])
    await catalogue.place.put(f"series/{second.id}/manifest", data(sealed))
    with pytest.raises(DamagedError):
        await catalogue.read(What.SERIES, second.id)
    assert await catalogue.newest(What.SERIES) == first


async def test_old_backups_are_removed_and_parts_that_newer_ones_need_stay(catalogue: Catalogue) -> None:
    old = await saved(catalogue, NOON - 40 * DAY)
    middle = await saved(catalogue, NOON - 20 * DAY, *old.parts)
    new = await saved(catalogue, NOON)
    done = await catalogue.tidy(What.SERIES, now=NOON, keep_days=30)
    assert (done.removed, done.objects, done.unreadable) == (1, 0, 0)
    assert await catalogue.ids(What.SERIES) == [new.id, middle.id]
    assert await text_of(catalogue, middle.parts[1]) == b"text"
    done = await catalogue.tidy(What.SERIES, now=NOON + 11 * DAY, keep_days=30)
    assert (done.removed, done.objects) == (1, 2)
    assert await paths(catalogue) == {f"series/{new.id}/manifest", new.parts[0].path}


async def test_the_newest_stays_however_old_it_is(catalogue: Catalogue) -> None:
    first, second = await saved(catalogue, NOON - 60 * DAY), await saved(catalogue, NOON - 50 * DAY)
    await catalogue.tidy(What.SERIES, now=NOON, keep_days=30)
    assert await catalogue.ids(What.SERIES) == [second.id]
    assert first.parts[0].path not in await paths(catalogue)


async def test_what_an_interrupted_backup_has_left_goes_after_a_day(catalogue: Catalogue) -> None:
    await saved(catalogue, NOON)
    await catalogue.write_part(What.SERIES, new_id(NOON - DAY + 2000), "a", data(b"text"), Counted(), now=NOON)
    assert (await catalogue.tidy(What.SERIES, now=NOON, keep_days=30)).objects == 0
    assert (await catalogue.tidy(What.SERIES, now=NOON + 3000, keep_days=30)).objects == 1
    assert len(await paths(catalogue)) == 2


async def test_so_does_what_somebody_was_killed_over_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    catalogue = Catalogue(
        open_place(BackupPlaceSettings(backup_url=f"file://{folder}", backup_key=KEY)), bytes.fromhex(KEY)
    )
    whole = await saved(catalogue, NOON)
    for name in (f"{new_id(NOON - DAY + 2000)}/a#1", f"{whole.id}/2026-03-02#12", "of-somebody-else/a#1"):
        (folder / "series" / name).parent.mkdir(exist_ok=True)
        (folder / "series" / name).write_bytes(b"half")
    assert (await catalogue.tidy(What.SERIES, now=NOON, keep_days=30)).objects == 0
    assert (await catalogue.tidy(What.SERIES, now=NOON + 3000, keep_days=30)).objects == 1
    assert {path.name for path in (folder / "series").iterdir()} == {whole.id, "of-somebody-else"}
    assert (await catalogue.tidy(What.SERIES, now=NOON + DAY + 1000, keep_days=30)).objects == 1
    assert {path.name for path in (folder / "series" / whole.id).iterdir()} == {"2026-03-01", "manifest"}
    assert await text_of(catalogue, whole.parts[0]) == b"text"


async def test_parts_of_backups_that_cannot_be_read_stay_until_none_can_need_them(catalogue: Catalogue) -> None:
    other = Catalogue(catalogue.place, b"\1" * 32)
    before = await saved(other, NOON - 25 * DAY)
    await saved(other, NOON - 10 * DAY, *before.parts)
    await saved(catalogue, NOON)
    done = await catalogue.tidy(What.SERIES, now=NOON + 6 * DAY, keep_days=30)
    assert (done.removed, done.objects, done.unreadable) == (1, 0, 1)
    assert before.parts[0].path in await paths(catalogue)
    # The last that could need them is too old by now, whoever can read it.
    done = await catalogue.tidy(What.SERIES, now=NOON + 21 * DAY, keep_days=30)
    assert (done.removed, done.objects, done.unreadable) == (1, 2, 0)


async def test_objects_of_others_are_left_alone(catalogue: Catalogue) -> None:
    for path in ("series/readme", "series/20261301T000000Z-0000/part", "series/x/y/z/manifest"):
        await catalogue.place.put(path, data(b"theirs"))
    done = await catalogue.tidy(What.SERIES, now=NOON, keep_days=1)
    assert (done.removed, done.objects) == (0, 0)
    assert len(await paths(catalogue)) == 3


async def test_a_bucket_that_is_not_there_is_said_to_be_missing(s3: dict[str, str]) -> None:
    place = open_place(
        BackupPlaceSettings(
            backup_url="s3://nobody-made-it",
            backup_key=KEY,
            s3_endpoint=s3["S3_ENDPOINT"],
            s3_access_key_id="a",
            s3_secret_access_key=SECRET,
        )
    )
    with pytest.raises(FileNotFoundError, match="the bucket nobody-made-it has no such object or bucket"):
        await place.put("redis/a", data(b"text"))
    with pytest.raises(FileNotFoundError, match="the bucket nobody-made-it has no such object or bucket"):
        [stored async for stored in place.objects("redis")]


@pytest.fixture
def refusing() -> Iterator[str]:
    """A server that lets nobody in."""

    class Refuses(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = _refuse  # noqa: N815 - as the server asks for them

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refuses) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _elsewhere(endpoint: str) -> BackupPlaceSettings:
    return BackupPlaceSettings(
        backup_url="s3://campus-backups",
        backup_key=KEY,
        s3_endpoint=endpoint,
        s3_access_key_id="an-id",
        s3_secret_access_key=SECRET,
    )


async def test_a_key_that_is_refused_is_a_setting_and_is_not_repeated(refusing: str) -> None:
    place = open_place(_elsewhere(refusing), retry_seconds=1)
    with pytest.raises(BadSettingsError, match="refuses S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY") as refused:
        [stored async for stored in place.objects("redis")]
    assert SECRET not in str(refused.value)


async def test_object_storage_that_does_not_answer_is_away() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        place = open_place(_elsewhere(f"http://127.0.0.1:{listener.getsockname()[1]}"), retry_seconds=1)
        with pytest.raises(UnavailableError, match="the bucket campus-backups cannot be used"):
            await place.put("redis/a", data(b"text"))


def test_a_folder_that_cannot_be_made_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadSettingsError, match="BACKUP_URL"):
        open_place(BackupPlaceSettings(backup_url=f"file://{tmp_path}/file/backups", backup_key=KEY))


def test_names_of_backups_sort_by_time_and_say_it() -> None:
    assert time_of("20260301T120000Z-00ff") == NOON
    assert new_id(NOON + 999).startswith("20260301T120000Z-")
    for wrong in ("", "20260301T120000Z", "20261301T120000Z-00ff", "20260301T120000Z-00FF", "../../manifest-00ff"):
        assert time_of(wrong) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b'{"format":2,"what":"redis","id":"a","begun_at":1,"ended_at":1,"parts":[]}',
        b'{"format":1,"what":"all","id":"a","begun_at":1,"ended_at":1,"parts":[]}',
        b'{"format":1,"what":"redis","id":"a","begun_at":1,"ended_at":1,"parts":[{"name":"a","path":"../../x",'
        b'"saved_at":1,"size":1,"sha256":"%s","records":1}]}' % (b"0" * 64),
    ],
)
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(DamagedError, match=r"^redis/x/manifest is "):
        Manifest.decode(text, "redis/x/manifest")
