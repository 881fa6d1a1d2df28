"""`python -m documents`: the position documents, from the command line."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

import msgspec
import typer

from core.clock import EARLIEST_MS, LATEST_MS, parse_rfc3339, system_clock
from disclosure.policy import PrivacySettings
from documents.document import Document
from documents.opening import open_store
from documents.query import LIMIT_MAX, PositionQuery
from documents.retention import parse_keep
from documents.setting_up import keep_set_up, set_up
from documents.settings import DocumentSettings, SetupSettings
from documents.store import DocumentStore
from documents.tiles import BBox
from runtime.command import ask, fail, run
from runtime.epochs import who_is_who
from runtime.service import run as run_service
from runtime.settings import DeviceSettings, kinds_or_exit, load_or_exit
from state.known_hashes import open_known_hashes

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="The position documents. DOCUMENT_STORE and DATA_DIR, or CLOUDANT_URL, say where they are.",
)
Answer = TypeVar("Answer")


class _WhoSettings(DeviceSettings, PrivacySettings):
    """What makes the hashes of a device."""


@app.command()
def setup(
    *,
    daily: Annotated[
        bool,
        typer.Option(
            "--daily",
            help="Go on, and do it again every ten minutes; once a day those that were over are dropped, too.",
        ),
    ] = False,
    done: Annotated[Path | None, typer.Option(help="A file that is made once all is there, for who waits.")] = None,
) -> None:
    """Make the databases of this month and the next with their indexes, or the file. It may be repeated.

    With COUCHDB_WRITER_PASSWORD, COUCHDB_READER_PASSWORD and COUCHDB_ERASER_PASSWORD, users of CouchDB as well, which
    may do no more than their names say; CLOUDANT_USERNAME is then an administrator, and services log in as these. They
    make and drop nothing: have this done each day, by `--daily` or a job.

    For example:

    - `python -m documents setup`

    - `python -m documents setup --daily --done /tmp/done`
    """
    settings = load_or_exit(SetupSettings)

    async def made(store: DocumentStore) -> list[str]:
        await set_up(store, settings.passwords)
        return await store.being_built()

    if daily:
        run_service(lambda stop: keep_set_up(settings, stop, done), settings, name="documents")
        return
    for sentence in _with_store(made, settings):
        typer.echo(sentence)
    if done:
        done.touch()
    typer.echo("The document store is ready.")


@app.command()
def count() -> None:
    """Print how many documents there are."""
    typer.echo(_with_store(lambda store: store.count()))


@app.command()
def export(
    file: Annotated[
        Path, typer.Argument(help="Where to; - is standard output. A file that is there already is replaced.")
    ] = Path("-"),
    *,
    device: Annotated[
        str | None,
        typer.Option(help="Only positions of this device, by its id as it calls itself, not its hash.", metavar="ID"),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="With --device: what it is, such as car. Else of each kind that has that id.")
    ] = None,
) -> None:
    """Write all positions as GeoJSON, one Feature a line; those of one device are in the order of time.

    With --device, all positions of one, the newest first: what its owner may ask for (GDPR, articles 15 and 20).
    DEVICE_KEY, or the key in DATA_DIR, and KINDS_FILE have to be those of the decoders, and so has KEYS_REDIS_URL where
    keys rotate (DEVICE_KEY_ROTATION): what is older than the oldest key there nobody can find by an id. What is still
    on its way through Redis is not among them, nor is what could not be used: `python -m decoder dead-letters list`.

    These are personal data: they say where a device was, and when. The hash in place of its name does not hide whose it
    is from somebody who knows one place where the owner was. They are for whoever answers for data protection on the
    campus, and for work which that person agreed to; the file is made readable for you alone. Counts by zone and time
    need none of this: ask the API.

    For example:

    - `python -m documents export positions.geojsonl`

    - `python -m documents export | head -n 1`

    - `python -m documents export --device bus-304 --kind car bus-304.geojsonl`
    """
    if kind is not None and device is None:
        fail("--kind: needs --device", code=2)
    hashes = None if device is None else ask(lambda: _hashes(device, kind))
    if str(file) == "-":
        _with_store(lambda store: _export(store, sys.stdout.buffer, hashes=hashes, progress=False))
        return
    # Under another name until it is complete: a file of the right name is never half an export.
    part = file.with_name(f"{file.name}.part")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            written = _with_store(lambda store: _export(store, out, hashes=hashes, progress=sys.stderr.isatty()))
        part.replace(file)
    except OSError as error:
        fail(f"{file}: {error}")
    finally:
        part.unlink(missing_ok=True)
    typer.echo(f"{written} positions written to {file}.", err=True)


@app.command()
def find(
    *,
    start: Annotated[str, typer.Option(help="The first instant that is asked for, RFC 3339 with an offset from UTC.")],
    end: Annotated[str, typer.Option(help="The first that is not.")],
    zone: Annotated[str | None, typer.Option(help="Positions in this zone, by its id.")] = None,
    device: Annotated[str | None, typer.Option(help="Positions of this device, by its hash.")] = None,
    bbox: Annotated[
        str | None, typer.Option(help="Positions in this box: WEST,SOUTH,EAST,NORTH in degrees, with --bbox=.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at the most, the newest first.")] = 100,
) -> None:
    """Print positions as GeoJSON, one Feature a line, the newest first. They are personal data: see `export --help`.

    At least one of --zone, --device and --bbox; of several, all hold.

    For example:

    - `python -m documents find --zone main --start 2026-11-01T08:00:00Z --end 2026-11-01T09:00:00Z`

    - `python -m documents find --bbox=-8.58,52.67,-8.56,52.68 --start 2026-11-01T00:00:00Z --end 2026-11-02T00:00:00Z`
    """
    try:
        query = PositionQuery(
            start=parse_rfc3339(start), end=parse_rfc3339(end), zone=zone, device=device, bbox=_box(bbox)
        )
    except ValueError as error:
        fail(str(error), code=2)

    async def print_pages(store: DocumentStore) -> None:
        left, cursor = limit, None
        while left:
            page = await store.find(query, limit=min(left, LIMIT_MAX), cursor=cursor)
            for document in page.documents:
                sys.stdout.buffer.write(_line(document))
            left, cursor = left - len(page.documents), page.cursor
            if cursor is None:
                return

    _with_store(print_pages)


@app.command()
def retention(
    keep: Annotated[
        str | None,
        typer.Option(help="How long documents are kept after their day is over: 90d. Else DOCUMENTS_KEEP."),
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say only what would be dropped.")] = False,
) -> None:
    """Drop the days (UTC) of documents that were over long enough ago.

    The decoder does it once a day where DOCUMENTS_KEEP is set. What is dropped is gone; the counts are kept elsewhere.

    For example:

    - `python -m documents retention --keep 90d --dry-run`
    """
    settings = load_or_exit(DocumentSettings)
    try:
        keep_ms = settings.documents_keep_ms if keep is None else parse_keep(keep)
    except ValueError as error:
        fail(f"--keep: {error}", code=2)
    if keep_ms is None:
        fail("How long are documents kept? --keep 90d, or DOCUMENTS_KEEP=90d", code=2)
    dropped = _with_store(lambda store: store.drop_before(system_clock() - keep_ms, dry_run=dry_run))
    for each in dropped:
        typer.echo(f"{each.name}: {each.documents} documents")
    total = sum(each.documents for each in dropped)
    typer.echo(f"{total} documents {'would be' if dry_run else 'were'} dropped.")


def _box(text: str | None) -> BBox | None:
    if text is None:
        return None
    degrees = [float(part) for part in text.split(",")]
    if len(degrees) != len(("west", "south", "east", "north")):
        raise ValueError("--bbox: four numbers, WEST,SOUTH,EAST,NORTH")
    return degrees[0], degrees[1], degrees[2], degrees[3]


def _line(document: Document) -> bytes:
    # RFC 7946 calls it `id`; `_id` is the store's name for it.
    return msgspec.json.encode({"type": "Feature", "id": document.pop("_id"), **document}) + b"\n"


async def _hashes(device: str, kind: str | None) -> list[str]:
    """Those of a device of this id, of one kind or of each, the newest first."""
    settings = load_or_exit(_WhoSettings)
    kinds = kinds_or_exit(settings)
    if kind is not None and kind not in kinds.ids:
        fail(f"--kind: {kind[:40]!r} is none of {', '.join(kinds.ids)}", code=2)
    by_source = who_is_who(settings, is_open=settings.policy.is_open).source
    async with open_known_hashes(settings, "api", by_source=by_source) as known:
        found = await known.of([each for each in kinds.ids if kind in {None, each}], device)
    return [hashed for _, hashed in reversed(found.hashes)]


async def _export(store: DocumentStore, out: BinaryIO, *, progress: bool, hashes: Sequence[str] | None = None) -> int:
    written = 0
    if hashes is not None:
        async for document in _of_devices(store, hashes):
            out.write(_line(document))
            written += 1
        return written
    bar = typer.progressbar(length=await store.count(), label="Exporting", file=sys.stderr) if progress else None
    with bar or nullcontext():
        async for document in store.scan():
            out.write(_line(document))
            written += 1
            if bar:
                bar.update(1)
    return written


async def _of_devices(store: DocumentStore, hashes: Sequence[str]) -> AsyncIterator[Document]:
    """All documents of these devices, of one after the other, the newest first."""
    for device in hashes:
        query = PositionQuery(start=EARLIEST_MS, end=LATEST_MS, device=device)
        cursor: str | None = None
        while True:
            page = await store.find(query, limit=LIMIT_MAX, cursor=cursor)
            for document in page.documents:
                yield document
            cursor = page.cursor
            if cursor is None:
                break


def _with_store(
    work: Callable[[DocumentStore], Coroutine[Any, Any, Answer]], settings: DocumentSettings | None = None
) -> Answer:
    settings = settings or load_or_exit(DocumentSettings)

    async def asking() -> Answer:
        async with open_store(settings) as store:
            return await work(store)

    return ask(asking)


if __name__ == "__main__":
    run(app, name="documents")
