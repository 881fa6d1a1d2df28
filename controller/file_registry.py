"""Instances on this machine without Docker: a folder with a JSON file each, which whoever starts one writes.

`{"app": "update-schuman", "version": "2", "name": "update-schuman-2", "address": "127.0.0.1", "port": 8102, "since":
1772366400000}`. One is healthy when it answers `GET /healthz` with 200. A file that cannot be read is passed over: it
may be half written.
"""

import asyncio
from pathlib import Path

import aiohttp
import msgspec

from controller.asking import ask, url_of
from controller.registry import MAX_INSTANCES, usable
from core.errors import UnavailableError
from core.unreadable import UNREADABLE
from state.apps import Instance

MAX_FILE_BYTES = 4096
MAX_ANSWER_BYTES = 4096


class _Written(msgspec.Struct, frozen=True):
    app: str
    version: str
    name: str
    address: str
    port: int
    since: int


class FileRegistry:
    """The files `*.json` of a folder."""

    def __init__(self, *, session: aiohttp.ClientSession, folder: Path) -> None:
        self._session = session
        self._folder = folder

    async def instances(self) -> list[Instance]:
        """Those that have a file; none where there is no folder. Raises UnavailableError."""
        found = usable(_read(self._folder))
        healthy = await asyncio.gather(*(self._is_healthy(each) for each in found))
        return [msgspec.structs.replace(each, healthy=well) for each, well in zip(found, healthy, strict=True)]

    async def _is_healthy(self, instance: Instance) -> bool:
        try:
            await ask(self._session, f"{url_of(instance)}/healthz", limit=MAX_ANSWER_BYTES)
        except UnavailableError:
            return False
        return True


def _read(folder: Path) -> list[Instance]:
    try:
        paths = sorted(folder.glob("*.json"))[:MAX_INSTANCES]
        texts = [path.read_bytes() for path in paths if path.stat().st_size <= MAX_FILE_BYTES]
    except OSError as error:
        raise UnavailableError(f"REGISTRY_FOLDER {folder} cannot be read: {error}") from error
    found = []
    for text in texts:
        try:
            written = msgspec.json.decode(text, type=_Written)
        except UNREADABLE:
            continue
        found.append(Instance(**msgspec.structs.asdict(written), healthy=False))
    return found
