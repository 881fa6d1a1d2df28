"""Looks for very many texts at once: one after the other, tens of thousands of them in megabytes take seconds."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

_LONGEST = 8
"""Bytes that a number of the processor holds."""
_BITS = 22
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, and its bits have no pattern: what begins alike is spread."""


class Needles:
    """Texts to look for, none of them empty; each place of a content is looked up by the bytes that begin there."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        """As many bytes decide as the shortest of them has, eight at the most."""
        wanted = set(texts)
        self._length = min(_LONGEST, *map(len, wanted))
        self._by_beginning: dict[bytes, list[bytes]] = defaultdict(list)
        for text in wanted:
            self._by_beginning[text[: self._length]].append(text)
        self._may_begin = np.zeros(1 << _BITS, dtype=np.bool_)
        for beginning in self._by_beginning:
            self._may_begin[self._places(beginning)] = True

    def any_in(self, content: bytes) -> bool:
        """Whether any of them is in there."""
        if len(content) < self._length:
            return False
        for index in np.flatnonzero(self._may_begin[self._places(content)]).tolist():
            for text in self._by_beginning.get(content[index : index + self._length], ()):
                if content.startswith(text, index):
                    return True
        return False

    def _places(self, content: bytes) -> Any:  # noqa: ANN401 - an array
        """A number for each place where as many bytes are as decide."""
        numbers = np.frombuffer(content, dtype=np.uint8)
        count = len(numbers) - self._length + 1
        found = np.zeros(count, dtype=np.uint64)
        for offset in range(self._length):
            found |= numbers[offset : offset + count].astype(np.uint64) << np.uint64(8 * offset)
        return (found * _FACTOR) >> np.uint64(64 - _BITS)
