"""Which samples (ARCHIVE=sampled) the document store is known to have."""

KNOWN_SAMPLES = 200_000
"""Samples that one process remembers, about 150 bytes each: devices times places of some minutes."""


class Samples:
    """Keys of samples that are stored, as far as is remembered: the oldest are forgotten, half of them at a time.

    What is forgotten, or was stored by another decoder, is a conflict in the store, which costs a write and no more.
    """

    def __init__(self, most: int = KNOWN_SAMPLES) -> None:
        self._half = most // 2
        self._newer: set[str] = set()
        self._older: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._newer or key in self._older

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)

    def add(self, key: str) -> None:
        """Remember a key."""
        if len(self._newer) >= self._half:
            self._older, self._newer = self._newer, set()
        self._newer.add(key)
