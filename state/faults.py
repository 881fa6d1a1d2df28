"""The faults that are on.

Keys of Redis:

    faults:{campus}  string  JSON list of `core.faults.Fault`; expires with the last of them. With each change
                             `apps:number:{campus}` goes up, so that who follows rules sees faults, too
"""

from collections.abc import Sequence

import msgspec

from core.faults import Fault
from state.access import Right, access
from state.apps import NUMBER
from state.client import Redis
from state.lua import lua
from state.slots import CAMPUS, guard

ACCESS = {
    Right.READ: [access("faults:{campus}", "GET")],
    Right.WRITE: [
        access("faults:{campus} apps:number:{campus}", "EVAL"),
        access("faults:{campus}", "SET DEL"),
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

    async def replace(self, faults: Sequence[Fault], *, now: int) -> None:
        """Have these faults and no others; of those that have ended nothing is kept."""
        lasting = [fault for fault in faults if fault.until > now]
        left = max((fault.until for fault in lasting), default=now) - now
        args: list[bytes | int] = [msgspec.json.encode(lasting), left] if lasting else []
        await self._replace(keys=[guard(CAMPUS), FAULTS, NUMBER], args=args)


def _faults(text: bytes | str) -> list[Fault]:
    """None of them where no service of ours wrote this: a fault is never made of what cannot be read."""
    try:
        return msgspec.json.decode(text, type=list[Fault])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
