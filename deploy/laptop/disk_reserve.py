"""Room on the disk that is kept for Redis: a file beside its data, which goes as soon as the disk is nearly full.

Redis answers before it knows that its append-only file cannot be written (with `appendfsync everysec`): what it had in
hand then is in its memory alone, and lost if it is stopped before there is room. With the reserve gone it has room at
once, and the brokers, which look themselves whether the file is there and as much as it takes is free, give it nothing
new (`state.disk`, decision 18). The file is there again as soon as the disk has room for it.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Event

from deploy.laptop.redis_server import REDIS_FOLDER

RESERVE = "reserve"
MOST = 64 * 1024 * 1024
SHARE = 8
"""Of a small disk, the reserve is one part of so many."""
LOOK_SECONDS = 0.1
_MIB = 1024 * 1024


def reserve_path(folder: Path) -> Path:
    """Where it is, in DATA_DIR."""
    return folder / REDIS_FOLDER / RESERVE


class DiskReserve:
    """The reserve of one disk."""

    def __init__(self, folder: Path, *, say: Callable[[str], None]) -> None:
        """`folder` is DATA_DIR, in which that of Redis exists; `say` is told when there is no more room, and again."""
        self._path = reserve_path(folder)
        self._size = min(MOST, shutil.disk_usage(self._path.parent).total // SHARE)
        self._say = say
        self._said = False

    def look(self) -> None:
        """Give the reserve to Redis, or make it again, as the disk has room."""
        try:
            free = shutil.disk_usage(self._path.parent).free
            if self._path.exists():
                if free < self._size:
                    self._path.unlink()
                    self._tell(free)
            elif free < self._size * 5 // 2:
                self._tell(free)
            elif self._make() and self._said:
                self._said = False
                self._say("the disk has room again")
        except OSError as error:
            self._say(f"the disk of DATA_DIR cannot be looked at: {error}")

    def run(self, stop: Event) -> None:
        """Look until `stop`."""
        while not stop.wait(LOOK_SECONDS):
            self.look()

    def _make(self) -> bool:
        draft = self._path.with_name(f".{RESERVE}")
        try:
            with draft.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
            draft.rename(self._path)
        except OSError:
            # Somebody else was faster to take the room.
            draft.unlink(missing_ok=True)
            return False
        return True

    def _tell(self, free: int) -> None:
        if not self._said:
            self._said = True
            self._say(
                f"the disk of DATA_DIR has {free / _MIB:.1f} MiB left: positions wait in their devices until there are "
                f"{self._size * 5 / 2 / _MIB:.1f} MiB"
            )
