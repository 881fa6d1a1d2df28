"""What was traced of late, for the spans of later stages: in which windows it counts, and which of them are stored.

    traces:{campus}  stream  the newest 1,000 notes, for an hour after the newest. `o` the name of an entry of `raw`
                             (`origin_of`), `s` 0 once it is counted, 1 once windows are stored, `w` names of windows
                             joined by spaces, `a` when that was done (ms since the epoch)

No device and no place is in it, and a note is written only where TRACES_URL is set: of the TRACES_SHARE of all entries.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from state.access import Right, access
from state.client import Redis
from state.raw import keys_of
from state.slots import CAMPUS

ACCESS = {
    Right.READ: [access("traces:{campus}", "XRANGE XREVRANGE")],
    Right.WRITE: [access("traces:{campus}", "XADD PEXPIRE")],
}
TRACES = f"traces:{CAMPUS}"
KEPT = 1000
KEPT_MS = 3_600_000


def origin_of(partition: int, partitions: int, entry_id: bytes) -> str:
    """The name of an entry of `raw`, which its trace follows from: `raw:{0}/1772366400000-0`."""
    return f"{keys_of(partition, partitions).raw}/{entry_id.decode(errors='replace')}"


class Note(NamedTuple):
    """That something which is traced was counted, or that windows with it are stored."""

    origin: str
    windows: frozenset[str]
    """By `core.windows.Window.member`."""
    at: int
    """Milliseconds since the epoch."""
    stored: bool = False


class Notes:
    """The notes of all processes. Every method raises UnavailableError."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._read_to = "-"

    async def add(self, notes: Sequence[Note]) -> None:
        """Write notes."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for note in notes:
                fields: dict[Any, Any] = {"o": note.origin, "s": int(note.stored), "a": note.at}
                pipeline.xadd(TRACES, fields | {"w": " ".join(sorted(note.windows))}, maxlen=KEPT, approximate=False)
            pipeline.pexpire(TRACES, KEPT_MS)
            await pipeline.execute()

    async def skip(self) -> None:
        """Have `new` begin after what is there now."""
        found = cast("list[Any]", await self._client.xrevrange(TRACES, count=1))
        self._read_to = f"({found[0][0].decode()}" if found else "-"

    async def new(self) -> list[Note]:
        """What was noted since the last call; from the oldest on at first."""
        found = cast("list[Any]", await self._client.xrange(TRACES, self._read_to, "+"))
        if found:
            self._read_to = f"({found[-1][0].decode()}"
        return [note for _, fields in found if (note := _note(fields))]


def _note(fields: dict[bytes, bytes]) -> Note | None:
    """None of what no decoder wrote."""
    try:
        windows = frozenset(fields[b"w"].decode().split())
        return Note(fields[b"o"].decode(), windows, int(fields[b"a"]), fields[b"s"] == b"1")
    except (KeyError, ValueError):
        return None
