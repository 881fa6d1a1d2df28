"""What there is to migrate, found by a look at all keys of the version before."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

from core.windows import Window
from state.client import Redis
from state.slots import tag
from state.upgrade.names import Became, Old, old_key
from state.windows import day_of_window

_AT_ONCE = 1000


@dataclass(slots=True)
class Survey:
    """The keys of the version before, by what becomes of them."""

    renamed: list[Old] = field(default_factory=list)
    streams: list[bytes] = field(default_factory=list)
    parted: set[bytes] = field(default_factory=set)
    nothing: list[bytes] = field(default_factory=list)
    days: dict[int, list[Window]] = field(default_factory=dict)
    """Windows by the day that has their counters."""
    unknown: int = 0
    """Keys that are nobody's of that version."""

    def add(self, name: bytes, shift_ms: int) -> None:
        """A key that is there."""
        old = old_key(name)
        match old and old.became:
            case Became.RENAMED:
                self.renamed.append(cast("Old", old))
            case Became.STREAM:
                self.streams.append(name)
            case Became.PARTED:
                self.parted.add(name)
            case Became.NOTHING:
                self.nothing.append(name)
            case Became.WINDOW:
                try:
                    window = Window.parse(name.decode(errors="replace").removeprefix("window:"))
                except ValueError:
                    self.unknown += 1
                else:
                    self.days.setdefault(day_of_window(window, shift_ms), []).append(window)
            case _:
                self.unknown += 1

    @property
    def windows(self) -> int:
        """How many there are."""
        return sum(map(len, self.days.values()))

    @property
    def kinds(self) -> dict[str, int]:
        """How many keys there are of each kind that is renamed, for people."""
        return dict(sorted(Counter(old.name.partition(b":")[0].decode() for old in self.renamed).items()))


async def survey(source: Redis, *, shift_ms: int) -> Survey:
    """Look at all keys of one Redis. Raises UnavailableError."""
    found, cursor = Survey(), 0
    while True:
        cursor, names = cast("Any", await source.scan(cursor, count=_AT_ONCE))
        for name in names:
            found.add(name, shift_ms)
        if not cursor:
            break
    # A scan may tell a key twice.
    found.renamed = sorted(set(found.renamed))
    found.streams = sorted(set(found.streams))
    found.nothing = sorted(set(found.nothing))
    found.days = {
        day: sorted(set(windows), key=lambda each: each.member) for day, windows in sorted(found.days.items())
    }
    return found


def new_streams(names: list[bytes], partitions: int) -> dict[bytes, bytes]:
    """What the streams of one kind are called afterwards, by their names: any one of the partitions' names each.

    Which does not matter: effects go where a device belongs, wherever its message lay. To do it again after some were
    renamed comes to the same. Where there are more streams than partitions, those that are left have no name.
    """
    kind = names[0].partition(b":")[0] if names else b""
    wanted = [kind + b":" + tag(partition, partitions).encode() for partition in range(partitions)]
    free = [name for name in wanted if name not in names]
    kept = {name: name for name in names if name in wanted}
    return kept | dict(zip((name for name in names if name not in wanted), free, strict=False))
