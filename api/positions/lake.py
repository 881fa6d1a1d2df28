"""Erasing devices from the lake, which its keeper does (`decoder.lake_keeper`): the API has no files at hand."""

import asyncio
from collections.abc import Sequence

from core.clock import Clock, format_rfc3339
from core.errors import UnavailableError
from state.client import Redis
from state.lake import LakeOrders, Outcome

LOOK_SECONDS = 0.1
KEEPER_SECONDS = 60.0
"""A keeper that was not there for so long is away; it says that it is there each second."""


class LakeErasure:
    """One erasure, as far as the lake goes: nothing where there never was one."""

    def __init__(self, client: Redis, devices: Sequence[str], clock: Clock) -> None:
        """`devices` are hashes."""
        self._orders = LakeOrders(client)
        self._devices = devices
        self._clock = clock
        self.there = False
        """Whether there is a lake."""

    async def ask(self) -> None:
        """First of all: from now on nothing is gathered for the lake any longer than it must be."""
        self.there = await self._orders.keeper_seen() is not None
        if self.there:
            await self._orders.ask(self._devices, now=self._clock())

    async def erase(self, seconds: float) -> Outcome:
        """Once nothing is on its way, and nothing of it is in the documents: how many rows went, and what may be left.

        Raises UnavailableError where that takes longer. It is done all the same then, and known when it is asked for
        again.
        """
        if not self.there:
            return Outcome(0)
        await self._orders.ready(self._devices, now=self._clock())
        until = asyncio.get_running_loop().time() + seconds
        while (found := await self._orders.outcome(self._devices, now=self._clock())) is None:
            if asyncio.get_running_loop().time() >= until:
                raise UnavailableError(await self._why(), retry_after=5)
            await asyncio.sleep(LOOK_SECONDS)
        await self._orders.forget(self._devices)
        return found

    async def _why(self) -> str:
        seen = await self._orders.keeper_seen() or 0
        if self._clock() - seen <= KEEPER_SECONDS * 1000:
            return "the lake is still being looked through"
        return (
            f"nobody has kept the lake since {format_rfc3339(seen)}: run a decoder with STAGES=export and"
            " EXPORT=parquet, or python -m decoder lake-gone where the lake was removed"
        )
