"""Devices that were erased after a backup was made: what is restored is without them.

A backup cannot be changed, so it has what was erased later. Nobody keeps a list of who was erased, for that would be
one of people who wanted to be in none: whoever answers for data protection has it, and a restore asks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from core.errors import BadSettingsError
from core.kinds import KindId, Kinds
from documents.store import DocumentStore
from runtime.devices import DeviceHasher, device_hasher
from runtime.epochs import DeviceKey
from runtime.settings import DeviceSettings
from state.client import Redis
from state.device_keys import DeviceKeys
from state.devices import forget_device
from state.judging import forget_marks
from state.keys_redis import open_keys_redis
from state.slots import partition_of, tag
from state.sources import read_sources

FILE_BYTES_MAX = 16 * 1024 * 1024
DEVICE_ID_MAX = 128
DOCUMENTS = 500


def read_ids(path: Path) -> list[str]:
    """The ids in a file, one a line; empty lines are none. Raises BadSettingsError."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise BadSettingsError(f"{path}: more than {FILE_BYTES_MAX:,} bytes")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettingsError(f"{path}: the ids of erased devices cannot be read: {error}") from error
    return checked_ids(lines, str(path))


def checked_ids(lines: Iterable[str], where: str) -> list[str]:
    """The ids in these lines, each once. Raises BadSettingsError, with `where` in its sentence."""
    ids = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if any(len(each) > DEVICE_ID_MAX for each in ids):
        raise BadSettingsError(f"{where}: an id of a device has {DEVICE_ID_MAX} characters at the most")
    return ids


@dataclass(frozen=True, slots=True)
class _Device:
    kind: KindId
    id: str
    hash: str
    away: str


class Erasures:
    """What is known of the erased devices by their hashes. DEVICE_KEY has to be that of the system that was saved."""

    def __init__(
        self,
        hasher: DeviceHasher | None,
        ids: Sequence[str],
        kinds: Iterable[KindId],
        keys: Sequence[DeviceKey] = (),
    ) -> None:
        """`keys` are those of hashes, where they rotate."""
        self.ids = tuple(ids)
        self._hasher = hasher
        self._kinds = tuple(kinds)
        self._keys = keys
        self._devices = self._known(())
        self._hashes = {device.hash for device in self._devices}

    def _known(self, sources: Sequence[str]) -> list[_Device]:
        if self._hasher is None:
            return []
        hashed = self._hasher.hashes
        return [
            _Device(kind, each, found, self._hasher.away(found))
            for kind in self._kinds
            for each in self.ids
            for found in hashed(kind, each, keys=self._keys, sources=sources)
        ]

    @classmethod
    async def of(cls, settings: DeviceSettings, ids: Sequence[str], kinds: Kinds) -> Self:
        """For the devices of all kinds that call themselves so, by each key that the Redis of keys still has.

        Raises BadSettingsError without a DEVICE_KEY, and UnavailableError.
        """
        if not ids:
            return cls(None, (), ())
        if settings.device_key is None and not (settings.data_dir / "device.key").exists():
            raise BadSettingsError(
                "DEVICE_KEY: it is needed to tell which positions are of the erased devices; it is in no backup, and"
                " has to be that of the system that was saved"
            )
        keys: list[DeviceKey] = []
        if settings.has_keys_redis:
            async with open_keys_redis(settings, "migrate") as client:
                keys = await DeviceKeys(client).read()
        return cls(device_hasher(settings), ids, kinds.ids, keys)

    def covers(self, device: str) -> bool:
        """Whether a device, by its hash, was erased."""
        return device in self._hashes

    async def repeat(self, documents: DocumentStore | None, redis: Redis, *, partitions: int, now: int) -> int:
        """Forget them where they are known by their hashes; how many documents that were there are gone.

        What waits in streams and queues names them otherwise: that is the API's to erase, once the system runs.
        Raises UnavailableError.
        """
        gone = 0
        # Those of other senders, too, which are known now that Redis is as it was.
        devices = self._known(await read_sources(redis)) if self._devices else []
        for device in devices:
            if documents is not None:
                while erased := await documents.erase(device.hash, limit=DOCUMENTS):
                    gone += erased
            await forget_device(
                redis,
                tag(partition_of(device.id, partitions), partitions),
                device=device.hash,
                away=device.away,
                kind=device.kind,
                zones=(),
            )
        if devices:
            await forget_marks(redis, {device.hash for device in devices}, now=now)
        return gone
