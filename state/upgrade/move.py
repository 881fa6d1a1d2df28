"""How keys come to their new names: renamed in one Redis, or copied from another."""

from collections.abc import Mapping

from redis.exceptions import ResponseError

from core.errors import BadSettingsError
from state.client import Redis

_AT_ONCE = 200


class Mover:
    """Gives keys their new names. To do it again does no harm. All methods raise UnavailableError."""

    def __init__(self, source: Redis, target: Redis) -> None:
        """Both may be the same Redis; else `source` stays as it is."""
        self._source = source
        self._target = target
        self.copies = source is not target

    async def move(self, names: Mapping[bytes, bytes]) -> int:
        """Give keys new names, by their old ones; how many there were.

        Raises BadSettingsError where a Redis is older than the one that it is copied from.
        """
        items = [(old, new) for old, new in names.items() if self.copies or old != new]
        moved = 0
        for first in range(0, len(items), _AT_ONCE):
            some = items[first : first + _AT_ONCE]
            moved += await (self._copy(some) if self.copies else self._rename(some))
        return moved

    async def forget(self, names: list[bytes]) -> None:
        """Remove keys of the version before, where they are not in another Redis."""
        if self.copies:
            return
        for first in range(0, len(names), _AT_ONCE):
            await self._target.unlink(*names[first : first + _AT_ONCE])

    async def _rename(self, items: list[tuple[bytes, bytes]]) -> int:
        async with self._target.pipeline(transaction=False) as pipeline:
            for old, new in items:
                pipeline.rename(old, new)
            answers = await pipeline.execute(raise_on_error=False)
        for answer in answers:
            # One that was renamed before, or has lapsed since.
            if isinstance(answer, Exception) and "no such key" not in str(answer):
                raise answer
        return sum(not isinstance(answer, Exception) for answer in answers)

    async def _copy(self, items: list[tuple[bytes, bytes]]) -> int:
        async with self._source.pipeline(transaction=False) as pipeline:
            for old, _ in items:
                pipeline.pttl(old)
                pipeline.dump(old)
            found = await pipeline.execute()
        async with self._target.pipeline(transaction=False) as pipeline:
            copied = 0
            for (_, new), lives, value in zip(items, found[::2], found[1::2], strict=True):
                if value is not None:
                    copied += 1
                    pipeline.restore(new, max(0, lives), value, replace=True)
            answers = await pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, ResponseError) and "DUMP payload" in str(answer):
                raise BadSettingsError(
                    "--from: that Redis is newer than the one at REDIS_URL, which cannot read its data"
                )
            if isinstance(answer, Exception):
                raise answer
        return copied
