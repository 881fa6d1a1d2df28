"""Keeps the other nodes told of what this one wants of them."""

import asyncio
from functools import partial

from broker.cluster.sessions import Sessions
from broker.routing.subscriptions import Subscriptions
from runtime.retry import until_available
from runtime.service import Stop, Wakeup
from state.routes import SubscriptionOptions


class RouteAdvertiser:
    """Tells of changes in batches, one at a time, so that the last word on a filter is the newest."""

    def __init__(self, *, subscriptions: Subscriptions, sessions: Sessions) -> None:
        self._subscriptions = subscriptions
        self._sessions = sessions
        self._told: dict[str, SubscriptionOptions] = {}
        self._changed: set[str] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._telling = False
        self._wakeup = Wakeup()

    async def update(self, filters: list[str]) -> None:
        """Return once the others can know what is wanted for these filters now."""
        if self.note(filters):
            done = asyncio.get_running_loop().create_future()
            self._waiting.append(done)
            await done

    def note(self, filters: list[str]) -> bool:
        """The same without waiting; whether there is anything to tell."""
        new = [each for each in filters if self._telling or self._subscriptions.interest(each) != self._told.get(each)]
        if new:
            self._changed.update(new)
            self._wakeup.wake()
        return bool(new)

    def forget(self) -> None:
        """Nothing is known of this node any more: it has become another."""
        self._told.clear()

    async def run(self, stop: Stop) -> None:
        """Tell, until `stop`."""
        with self._wakeup.woken_by(stop):
            await self._work(stop)

    async def _work(self, stop: Stop) -> None:
        while not stop.is_set():
            if not self._changed:
                await self._wakeup.wait()
                continue
            changed, self._changed = self._changed, set()
            waiting, self._waiting = self._waiting, []
            self._telling = True
            changes = {each: self._subscriptions.interest(each) for each in changed}
            changes = {each: options for each, options in changes.items() if options != self._told.get(each)}
            try:
                if changes:
                    await until_available(partial(self._sessions.interest, changes))
            except Exception:
                # A defect: it is told once this has been started again.
                self._changed |= changed
                self._waiting += waiting
                raise
            for each, options in changes.items():
                if options is None:
                    self._told.pop(each, None)
                else:
                    self._told[each] = options
            self._telling = False
            for done in waiting:
                if not done.done():
                    done.set_result(None)
