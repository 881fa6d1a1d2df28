"""`python -m documents`: the position documents, from the command line."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NoReturn, TypeVar

import msgspec
import typer

from core.errors import BadSettings, Unavailable
from core.settings import load_or_exit
from documents.opening import open_store
from documents.settings import DocumentSettings
from documents.store import DocumentStore

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="The position documents. DOCUMENT_STORE and DATA_DIR, or CLOUDANT_URL, say where they are.",
)
Answer = TypeVar("Answer")


@app.command()
def setup() -> None:
    """Make the database, or the file. Does no harm where it is there already."""
    _with_store(lambda store: store.setup())
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
) -> None:
    """Write all positions as GeoJSON, one Feature a line, in the order of device and time.

    These are personal data: they say where a device was, and when. The hash in place of its name does not hide whose it
    is from somebody who knows one place where the owner was. They are for whoever answers for data protection on the
    campus, and for work which that person agreed to; the file is made readable for you alone. Counts by zone and time
    need none of this: ask the API.

    For example:

    - `python -m documents export positions.geojsonl`

    - `python -m documents export | head -n 1`
    """
    if str(file) == "-":
        _with_store(lambda store: _export(store, sys.stdout.buffer, progress=False))
        return
    # Under another name until it is complete: a file of the right name is never half an export.
    part = file.with_name(f"{file.name}.part")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            written = _with_store(lambda store: _export(store, out, progress=sys.stderr.isatty()))
        part.replace(file)
    except OSError as error:
        _fail(f"{file}: {error}")
    finally:
        part.unlink(missing_ok=True)
    typer.echo(f"{written} positions written to {file}.", err=True)


async def _export(store: DocumentStore, out: BinaryIO, *, progress: bool) -> int:
    written = 0
    bar = typer.progressbar(length=await store.count(), label="Exporting", file=sys.stderr) if progress else None
    with bar or nullcontext():
        async for document in store.scan():
            # RFC 7946 calls it `id`; `_id` is the store's name for it.
            feature = {"type": "Feature", "id": document.pop("_id"), **document}
            out.write(msgspec.json.encode(feature) + b"\n")
            written += 1
            if bar:
                bar.update(1)
    return written


def _with_store(work: Callable[[DocumentStore], Coroutine[Any, Any, Answer]]) -> Answer:
    settings = load_or_exit(DocumentSettings)

    async def main() -> Answer:
        async with open_store(settings) as store:
            return await work(store)

    try:
        return asyncio.run(main())
    except BadSettings as error:
        _fail(str(error), code=2)
    except Unavailable as error:
        _fail(str(error))


def _fail(message: str, *, code: int = 1) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    app()
