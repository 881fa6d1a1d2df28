"""`make clean`: remove the data of a laptop run. The standard library alone: it needs no virtual environment."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.laptop.lock import LOCK, held


class NotRemovedError(Exception):
    """The folder stays; the message says why."""


def clean(given: str, *, show: Callable[[str], None]) -> None:
    """Show what is in DATA_DIR, a line for each thing, and remove it.

    Raises NotRemovedError for a folder that no run has made, and for one in use.
    """
    if not given.strip():
        raise NotRemovedError("DATA_DIR is empty: nothing removed")
    folder = Path(given).resolve()
    if not folder.exists():
        show(f"{folder}: nothing there")
        return
    here = Path.cwd().resolve()
    if folder in (Path.home(), here, *here.parents) or not (folder / LOCK).is_file():
        raise NotRemovedError(f"DATA_DIR: {folder} is not a folder that `make run` has made: nothing removed")
    try:
        with held(folder):
            show(f"removing {folder}")
            for path in sorted(folder.iterdir()):
                show(f"  {path.name}, {_size(path):,} bytes")
            shutil.rmtree(folder)
    except BlockingIOError as error:
        raise NotRemovedError(f"DATA_DIR: {folder} is in use: stop `make run` first") from error


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in [path, *path.rglob("*")] if file.is_file())


if __name__ == "__main__":
    try:
        clean(sys.argv[1], show=lambda line: print(line, flush=True))  # noqa: T201 - to show is what it is for
    except (NotRemovedError, OSError) as problem:
        sys.exit(str(problem))
