"""A lake whose user is killed at a step."""

from collections.abc import Iterable
from typing import Self

from lake.store import Lake


class KilledError(BaseException):
    """The process is gone: nothing of ours catches that."""


class DyingLake(Lake):
    """Kills who uses it before the step of this number, of those that change something."""

    left: int

    @classmethod
    def of(cls, lake: Lake, steps: int) -> Self:
        """`steps` are done, and then no more."""
        dying = cls(lake._storage)
        dying.left = steps
        return dying

    def put(self, path: str, data: bytes) -> None:
        self._step()
        super().put(path, data)

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._step()
            super().delete([path])

    def _step(self) -> None:
        if not self.left:
            raise KilledError
        self.left -= 1
