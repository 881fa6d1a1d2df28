"""Who may do something, as Redis holds it: users of MQTT, and keys of the API.

Each is a field of a hash, in JSON, by its name. What is in it, and what makes it valid, is its service's to say.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar, cast

import msgspec
import structlog

from core.unreadable import UNREADABLE
from state.client import Redis

Item = TypeVar("Item", bound=msgspec.Struct)
BATCH = 200
"""So few that the event loop is never held up for long: to read a user takes some 15 microseconds."""

_log = structlog.stdlib.get_logger("credentials")


class Credentials(Generic[Item]):
    """All of one kind. What cannot be read is logged, and lets nobody in.

    All methods raise UnavailableError where Redis does not answer.
    """

    def __init__(self, client: Redis, *, key: str, kind: type[Item], name_of: Callable[[Item], str]) -> None:
        """`kind` refuses what is none by raising ValueError; `name_of` is the field that one has."""
        self._client = client
        self._key = key
        self._kind = kind
        self._name_of = name_of

    async def get(self, names: Sequence[str]) -> dict[str, Item]:
        """Those of these that there are, by name."""
        found: dict[str, Item] = {}
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            values = await cast("Any", self._client.hmget(self._key, [name.encode() for name in batch]))
            found |= {
                name: item for name, value in zip(batch, values, strict=True) if (item := self._decoded(name, value))
            }
        return found

    async def all(self) -> list[Item]:
        """All of them, by name."""
        values = await cast("Any", self._client.hgetall(self._key))
        items = (self._decoded(field.decode(errors="replace"), value) for field, value in values.items())
        return sorted((item for item in items if item), key=self._name_of)

    async def has_any(self) -> bool:
        """Whether there is one."""
        return bool(await self._client.exists(self._key))

    def _encoded(self, items: Iterable[Item]) -> list[dict[Any, Any]]:
        """Fields and values, some to a command."""
        pairs = [(self._name_of(item), msgspec.json.encode(item)) for item in items]
        return [dict(pairs[start : start + BATCH]) for start in range(0, len(pairs), BATCH)]

    def _decoded(self, name: str, value: bytes | None) -> Item | None:
        if value is None:
            return None
        try:
            item = msgspec.json.decode(value, type=self._kind)
        except UNREADABLE:
            item = None
        if item is None or self._name_of(item) != name:
            _log.error(
                "this cannot be read from Redis, and lets nobody in", kind=self._kind.__name__.lower(), name=name
            )
            return None
        return item
