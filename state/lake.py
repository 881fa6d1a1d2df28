"""What whoever erases a device asks of those who keep the lake: they have the files at hand, the API has not.

    lake:{campus}         string  when a keeper of the lake was last there, in ms; it stays, for so does the lake
    lake:{campus}:orders  hash    a device's hash to its order: state, since when (ms), how many rows went so far, and
                                  since when files are to be looked at (ms), joined by colons; where there are files
                                  that cannot be read, how many, and the path of the first

An order is `asked` while what is on its way is waited for: exporters write at once what they have gathered. Then it is
`ready`, for a keeper to carry out, and `done` until whoever asked has seen it. An order that nobody follows up lapses.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple, cast

from state.access import Right, access
from state.client import Redis
from state.lua import lua
from state.slots import CAMPUS, guard

LAKE = f"lake:{CAMPUS}"
ORDERS = f"{LAKE}:orders"
ACCESS = {
    Right.WRITE: [
        access("lake:{campus}", "SET DEL"),
        access("lake:{campus}:", "EVAL HGET HSET HDEL HGETALL DEL"),
        access("never:{campus}", "DEL"),
    ],
    Right.ERASE: [
        access("lake:{campus}", "GET"),
        access("lake:{campus}:", "EVAL HGET HSET HDEL HMGET"),
        access("never:{campus}", "DEL"),
    ],
}
LAPSES_MS = 600_000
"""How long an order may be asked for without being ready: its API process is gone."""
DONE_MS = 24 * 3_600_000
"""How long it is known what came of an order: a request that was not answered in time is repeated."""


class State(StrEnum):
    """How far an order is."""

    ASKED = "asked"
    READY = "ready"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Order:
    """That a device is to be erased from the lake."""

    state: State
    at: int
    """When it came into that state, milliseconds since the epoch."""
    rows: int = 0
    """That went so far."""
    since: int = 0
    """Files that were made before hold nothing of the device: milliseconds since the epoch."""
    unreadable: int = 0
    """Files of which nobody knows whether they do."""
    first: str = ""
    """The path of one of them."""

    @property
    def text(self) -> str:
        """As Redis has it."""
        found = f"{self.state}:{self.at}:{self.rows}:{self.since}"
        return f"{found}:{self.unreadable}:{self.first}" if self.unreadable else found

    @classmethod
    def parse(cls, text: bytes) -> "Order | None":
        """The order of a text; None for what none of ours wrote."""
        try:
            state, at, rows, since, *files = text.decode(errors="replace").split(":", 5)
            # Earlier versions knew no such files.
            unreadable, first = files or ("0", "")
            return cls(State(state), int(at), int(rows), int(since), int(unreadable), first)
        except ValueError:
            return None


class Outcome(NamedTuple):
    """What came of orders."""

    rows: int
    """That went."""
    unreadable: int = 0
    """Files that could not be read, and may have more of them."""
    first: str = ""
    """The path of one of these."""


class LakeOrders:
    """Orders, of whoever gives them and of whoever carries them out. Every method raises UnavailableError."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._change = client.register_script(lua("change_order"))

    async def keeper_seen(self) -> int | None:
        """When a keeper was last there, in ms; None where there was never a lake."""
        found = await self._client.get(LAKE)
        if found is None:
            return None
        return int(found) if found.isdigit() else 0

    async def ask(self, devices: Iterable[str], *, now: int) -> None:
        """Let exporters write what they have of these devices, which are to be erased."""
        for device in devices:
            # What came of an earlier order that nobody has seen is part of this one.
            await self._become(device, lambda order: replace(order, state=State.ASKED, at=now), now=now)

    async def ready(self, devices: Iterable[str], *, now: int) -> None:
        """Let them be erased: nothing of them is on its way any more."""
        for device in devices:
            await self._become(device, lambda order: replace(order, state=State.READY, at=now), now=now)

    async def outcome(self, devices: Iterable[str], *, now: int) -> Outcome | None:
        """What came of the orders of these devices; None while some of them are not done."""
        found = await self._orders(devices)
        lost = [device for device, order in found.items() if order is None]
        # Somebody else who asked for it has seen what came of it; or a Redis that took over never heard of it.
        if lost and await self.keeper_seen() is not None:
            await self.ready(lost, now=now)
            return None
        orders = [order for order in found.values() if order is not None]
        if any(order.state is not State.DONE for order in orders):
            return None
        worst = max(orders, key=lambda order: order.unreadable, default=Order(State.DONE, now))
        return Outcome(sum(order.rows for order in orders), worst.unreadable, worst.first)

    async def forget(self, devices: Iterable[str]) -> None:
        """Forget orders that are done, once whoever asked has seen what came of them."""
        for device in devices:
            order = (await self._orders([device]))[device]
            if order is not None and order.state is State.DONE:
                await self._set(device, order.text, "")

    async def keep(self, *, now: int) -> Mapping[str, Order]:
        """Say that a keeper is there; all orders by device, without those that have lapsed."""
        await self._client.set(LAKE, now)
        found = cast("dict[bytes, bytes]", await cast("Any", self._client.hgetall(ORDERS)))
        orders: dict[str, Order] = {}
        for name, text in found.items():
            device, order = name.decode(errors="replace"), Order.parse(text)
            if order is None or now - order.at > _lasts(order):
                await self._set(device, text, "")
            else:
                orders[device] = order
        return orders

    async def done(
        self, device: str, rows: int, *, since: int, now: int, order: Order, unreadable: Sequence[str] = ()
    ) -> None:
        """Say that an order was carried out, and how many rows went; `since` is when that began.

        Where it was given anew meanwhile, it is to be carried out once more, and these rows count to it. Then only
        files are looked at that were made since: else an erasure that takes longer than its requests would never end.
        Where there were `unreadable` files, whoever asks once that is told has all files looked at: they may be
        repaired by then.
        """
        known, first = len(unreadable), unreadable[0] if unreadable else ""
        if order.since and order.unreadable > known:
            # They are older than what was looked at this time.
            known, first = order.unreadable, order.first
        now_known = replace(order, rows=order.rows + rows, since=since, unreadable=known, first=first)
        carried_out = replace(now_known, state=State.DONE, at=now, since=0 if known else since)
        if await self._set(device, order.text, carried_out.text):
            return
        while True:
            text = await cast("Any", self._client.hget(ORDERS, device)) or b""
            other = Order.parse(text)
            if other is None or other.state is State.DONE:
                changed = other and replace(other, rows=other.rows + rows)
            else:
                changed = replace(now_known, state=other.state, at=other.at, rows=other.rows + rows)
            if changed is None or await self._set(device, text, changed.text):
                return

    async def lake_gone(self) -> None:
        """Forget that there was a lake: it was removed, and no erasure is to wait for it."""
        await self._client.delete(ORDERS)
        await self._client.delete(LAKE)

    async def _become(self, device: str, change: Callable[[Order], Order], *, now: int) -> None:
        while True:
            text = await cast("Any", self._client.hget(ORDERS, device)) or b""
            order = Order.parse(text) or Order(State.ASKED, now)
            if await self._set(device, text, change(order).text):
                return

    async def _orders(self, devices: Iterable[str]) -> dict[str, Order | None]:
        names = list(devices)
        texts = await cast("Any", self._client.hmget(ORDERS, names))
        return {name: Order.parse(text or b"") for name, text in zip(names, texts, strict=True)}

    async def _set(self, device: str, old: bytes | str, new: str) -> bool:
        return bool(await self._change(keys=[guard(CAMPUS), ORDERS], args=[device, old, new]))


def _lasts(order: Order) -> int:
    """How long an order lasts in its state, in ms."""
    if order.state is State.ASKED:
        return LAPSES_MS
    # One that is ready is carried out, however long its keepers are away.
    return DONE_MS if order.state is State.DONE else 2**62
