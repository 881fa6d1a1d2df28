"""The faults that are on.

Keys of Redis:

    faults:{campus}  string  JSON list of `core.faults.Fault`; expires with the last of them. With each change
                             `apps:number:{campus}` goes up, so that who follows rules sees faults, too
"""

import hashlib
from collections.abc import Sequence

import msgspec

from core.faults import Fault
from core.unreadable import UNREADABLE
from state.access import Right, access
from state.apps import NUMBER
from state.client import Redis
from state.lua import lua
from state.slots import CAMPUS, guard

ACCESS = {
    Right.READ: [access("faults:{campus}", "GET")],
    Right.WRITE: [
        access("faults:{campus} apps:number:{campus}", "EVAL"),
        access("faults:{campus}", "GET SET DEL"),
        access("apps:number:{campus}", "INCR SET"),
        access("", "TIME"),
    ],
}
FAULTS = f"faults:{CAMPUS}"


class FaultStore:
    """Reads and writes them. All methods raise UnavailableError where Redis does not answer."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._replace = client.register_script(lua("raise", "replace_faults"))

    async def faults(self, now: int) -> list[Fault]:
        """Those that have not ended; `now` in milliseconds since the epoch."""
        text = await self._client.get(FAULTS)
        return [fault for fault in _faults(text or "[]") if fault.until > now]

    async def marked(self, now: int) -> tuple[list[Fault], str]:
        """The same, and a mark of them: 40 hexadecimal digits that are others once they are replaced, or all ended."""
        kept = await self._client.get(FAULTS)
        text = kept if isinstance(kept, bytes) else b""
        found = [fault for fault in _faults(text or "[]") if fault.until > now]
        return found, _mark(text)

    async def replace(self, faults: Sequence[Fault], *, now: int, replaces: str = "") -> str | None:
        """Have these faults and no others, and answer their mark; of those that have ended nothing is kept.

        None, and nothing changes, where `replaces` is given and is no more the mark of those that there are.
        """
        lasting = [fault for fault in faults if fault.until > now]
        left = max((fault.until for fault in lasting), default=now) - now
        text = msgspec.json.encode(lasting) if lasting else b""
        args: list[bytes | int | str] = [replaces]
        if lasting:
            args += [text, left]
        return _mark(text) if await self._replace(keys=[guard(CAMPUS), FAULTS, NUMBER], args=args) else None


def _mark(text: bytes) -> str:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def _faults(text: bytes | str) -> list[Fault]:
    """None of them where no service of ours wrote this: a fault is never made of what cannot be read."""
    try:
        return msgspec.json.decode(text, type=list[Fault])
    except UNREADABLE:
        return []
