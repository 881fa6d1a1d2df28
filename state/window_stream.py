"""Windows that were rolled up, for those who export them.

    windows:{campus}  stream  several windows to an entry: `d` (MessagePack, a list of `ExportedWindow`), in `b` how
                              many bytes of these there were up to it, ever; a consumer group a target
                              (`state.raw.EXPORT_GROUPS`). There is one stream, of all partitions

Only what was written to the time-series store is here, as it was written then: of one window there are many, and the
one that was written last counts.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from state.access import Right, access
from state.backlog import Backlog, group_backlog, is_no_stream
from state.client import Redis
from state.codes import code_of
from state.export_gaps import GAPS
from state.lua import lua
from state.slots import CAMPUS, guard

ACCESS = {
    Right.TELL: [
        access("windows:{campus} gaps:{campus}", "EVAL"),
        access("windows:{campus}", "XADD XLEN XRANGE XREVRANGE XTRIM"),
        access("gaps:{campus}", "SADD"),
    ],
    Right.READ: [access("windows:{campus}", "XLEN XINFO|GROUPS XPENDING XRANGE"), access("", "TIME")],
}
WINDOWS = f"windows:{CAMPUS}"
MOST_BYTES = 32 * 1024 * 1024
"""Of windows that wait, some 600,000 of them: what is older is cut off, and counted."""


class ExportedWindow(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How many distinct devices were counted in a window, by the time at which that was written."""

    zone: str
    kind: str
    width: str
    start: int
    """Its first millisecond, since the epoch, UTC."""
    end: int
    """The first millisecond after it."""
    devices: int
    written_at: int
    """Milliseconds since the epoch."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[ExportedWindow])


def decode_windows(fields: dict[bytes, bytes]) -> list[ExportedWindow]:
    """The windows of an entry. Raises KeyError or msgspec.DecodeError if no decoder of ours wrote it."""
    return _decoder.decode(fields[b"d"])


async def read_window_backlogs(client: Redis) -> list[Backlog]:
    """What each group has yet to do, in two round trips; nothing where nothing is exported. Raises UnavailableError."""
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.xlen(WINDOWS)
        pipeline.xinfo_groups(WINDOWS)
        pipeline.time()
        length, told, (seconds, microseconds) = _unless_gone(await pipeline.execute(raise_on_error=False))
    if told is None:
        return []
    async with client.pipeline(transaction=False) as pipeline:
        for each in told:
            pipeline.xpending(WINDOWS, each["name"])
            pipeline.xrange(WINDOWS, f"({each['last-delivered-id'].decode()}", "+", count=1)
        answers = _unless_gone(await pipeline.execute(raise_on_error=False))
    now = seconds * 1000 + microseconds // 1000
    return [
        group_backlog(WINDOWS, each, length, oldest=pending["min"] or (following[0][0] if following else None), now=now)
        for each, pending, following in zip(told, answers[::2], answers[1::2], strict=True)
        if pending is not None
    ]


def _unless_gone(answers: Sequence[Any]) -> list[Any]:
    """Answers of Redis; None of a stream that is not there, or a group that was removed meanwhile."""
    for answer in answers:
        if isinstance(answer, Exception) and not is_no_stream(answer) and code_of(answer) != "NOGROUP":
            raise answer
    return [None if isinstance(answer, Exception) else answer for answer in answers]


class WindowStream:
    """Appends windows for those who export them."""

    def __init__(self, client: Redis, *, notes_gaps: bool = False) -> None:
        """With `notes_gaps` the hours of what is cut off are gaps of the lake (`state.export_gaps`)."""
        self._append = client.register_script(lua("append_windows"))
        self._notes_gaps = notes_gaps

    async def append(self, windows: Sequence[ExportedWindow]) -> int:
        """Append windows; how many entries were cut off for them (`MOST_BYTES`). Raises UnavailableError."""
        cut = await self._append(
            keys=[guard(CAMPUS), WINDOWS, GAPS],
            args=[MOST_BYTES, _encoder.encode(list(windows)), int(self._notes_gaps)],
        )
        return int(cut)
