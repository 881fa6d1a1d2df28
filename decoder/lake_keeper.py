"""Beside the export to the lake: devices are erased from it, small files become large ones, and old dates go.

As many keepers may run as there are processes that export: the lake's lock lets one at a time rewrite it.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial

import structlog

from core.clock import AHEAD_MS, Clock
from core.errors import UnavailableError
from decoder.metrics import DecoderMetrics
from decoder.stage_retry import StageRetry
from lake.compacting import compact
from lake.erasing import Gone, erase
from lake.layout import date_of
from lake.lock import LockedError, held
from lake.retention import drop_before
from lake.store import Lake
from runtime.service import Stop, pause
from state.client import Redis
from state.lake import LakeOrders, Order, State

LOOK_SECONDS = 1.0
"""How often it is asked whether somebody is to be erased."""
COMPACT_MS = 3_600_000
DROP_MS = 24 * 3_600_000
AGAIN_SECONDS = 10.0
"""How soon upkeep goes on that somebody else, or an erasure, was in the way of."""
OWNER = "a decoder's keeper of the lake"

_log = structlog.stdlib.get_logger("lake")


class LakeKeeper:
    """Two stages: one for orders to erase, which come first, and one for all that can wait."""

    def __init__(
        self, *, client: Redis, lake: Lake, keep_ms: int | None, clock: Clock, metrics: DecoderMetrics
    ) -> None:
        """Dates whose positions were over `keep_ms` ago are dropped; None keeps all."""
        self._orders = LakeOrders(client)
        self._lake = lake
        self._keep_ms = keep_ms
        self._clock = clock
        self._orders_retry = StageRetry("lake-orders", metrics)
        self._upkeep_retry = StageRetry("lake-upkeep", metrics)
        self._asked = self._wanted = False
        self._compacted_at = self._dropped_at = 0

    def hurry(self) -> bool:
        """Whether somebody is to be erased: what is gathered for the lake is to be written at once."""
        return self._asked

    async def carry_out_orders(self, stop: Stop) -> None:
        """Erase whoever is to be erased, until `stop`."""
        while not stop.is_set():
            await self._orders_retry.until_available(self.orders_step)
            await pause(LOOK_SECONDS, stop)

    async def orders_step(self) -> None:
        """Carry out the orders that are ready. Raises UnavailableError."""
        begun = self._clock()
        orders = await self._look()
        ready = {device: order for device, order in orders.items() if order.state is State.READY}
        self._wanted = bool(ready)
        if not ready:
            return
        since = min(order.since for order in ready.values())
        erasing = asyncio.ensure_future(asyncio.to_thread(self._erase, ready.keys(), since))
        try:
            while not (await asyncio.wait({erasing}, timeout=LOOK_SECONDS))[0]:
                # A large lake takes minutes: others are asked for meanwhile, and are to know that a keeper is there.
                with suppress(UnavailableError):
                    await self._look()
            rows, unreadable = await erasing
        except LockedError:
            return  # upkeep of ours makes room; so does whoever else has it, once done
        finally:
            erasing.cancel()
        for device, order in ready.items():
            # A little earlier, for clocks of those who write differ.
            await self._orders.done(
                device,
                rows[device],
                since=max(begun - AHEAD_MS, 0),
                now=self._clock(),
                order=order,
                unreadable=unreadable,
            )
        self._wanted = False
        _log.info("devices were erased from the lake", devices=len(ready), rows=sum(rows.values()))
        if unreadable:
            _log.error("files of the lake cannot be read, nor erased from", files=len(unreadable), first=unreadable[0])

    async def _look(self) -> Mapping[str, Order]:
        """All orders by device; exporters hear whether there is somebody to hurry for."""
        orders = await self._orders.keep(now=self._clock())
        self._asked = any(order.state is State.ASKED for order in orders.values())
        return orders

    def _erase(self, devices: Collection[str], since: int) -> Gone:
        with held(self._lake, OWNER, clock=self._clock) as hold:
            return erase(self._lake, hold, devices, since=since, clock=self._clock)

    async def keep_up(self, stop: Stop) -> None:
        """Compact each hour and drop what is over each day, until `stop`."""
        while not stop.is_set():
            done = await self._upkeep_retry.until_available(partial(self.upkeep_step, stop))
            await pause(LOOK_SECONDS if done else AGAIN_SECONDS, stop)

    async def upkeep_step(self, stop: Stop) -> bool:
        """Do what is due; False where something of it is left. Raises UnavailableError."""
        now = self._clock()
        if now - self._compacted_at < COMPACT_MS:
            return True
        if self._wanted:
            return False
        try:
            return await asyncio.to_thread(self._upkeep, now, stop)
        except LockedError:
            return False

    def _upkeep(self, now: int, stop: Stop) -> bool:
        with held(self._lake, OWNER, clock=self._clock) as hold:
            if self._keep_ms is not None and now - self._dropped_at >= DROP_MS:
                day = date_of(max(now - self._keep_ms, 0))
                if dropped := drop_before(self._lake, hold, day):
                    _log.info("positions of old dates were dropped from the lake", before=str(day), files=dropped)
                self._dropped_at = now
            stopped = False

            def enough() -> bool:
                nonlocal stopped
                stopped = stopped or self._wanted or stop.is_set()
                return stopped

            done = compact(self._lake, hold, now=now, enough=enough)
        if done.made:
            _log.info("the lake was compacted", files=done.files, made=done.made, rows=done.rows, repeats=done.repeats)
        if done.unreadable:
            _log.error("files of the lake cannot be read", files=len(done.unreadable), first=done.unreadable[0])
        if not stopped:
            self._compacted_at = now
        return not stopped
