"""The one folder that a run keeps its data in."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from core.errors import BadSettingsError
from deploy.laptop.lock import held
from runtime.settings import REDIS_SOCKET

MAX_SOCKET_PATH = 100
"""Bytes. A Unix socket's path may have 107 on Linux and 103 on macOS."""


@contextmanager
def data_dir(path: Path) -> Iterator[Path]:
    """Make DATA_DIR, for its owner alone, and hold it for this run; gives its absolute path.

    Raises BadSettingsError where it cannot be made, where another run holds it, and where its path is too long for the
    socket of Redis in it.
    """
    folder = path.resolve()
    bytes_too_many = len(os.fsencode(folder / REDIS_SOCKET)) - MAX_SOCKET_PATH
    if bytes_too_many > 0:
        raise BadSettingsError(
            f"DATA_DIR: {folder} is {bytes_too_many} bytes too long for a socket in it; set DATA_DIR to a shorter path"
        )
    with ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(held(folder))
        except BlockingIOError as error:
            raise BadSettingsError(
                f"DATA_DIR: {folder} is in use by another run; stop that one, or set DATA_DIR to another folder"
            ) from error
        except OSError as error:
            raise BadSettingsError(f"DATA_DIR: cannot use {folder}: {error.strerror}") from error
        yield folder


def refuse_a_second_redis(folder: Path, name: str = REDIS_SOCKET) -> None:
    """Raise BadSettingsError if a Redis still serves that socket of DATA_DIR, left over from a run that was killed."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(folder / name))
        except OSError:
            return  # there is none; where only its socket is left, the next Redis replaces it
    raise BadSettingsError(f"DATA_DIR: a Redis still serves {folder / name}, left by a run that was killed: stop it")
