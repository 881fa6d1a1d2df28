"""Looks what runs, says so to all, gives it places in HAProxy, and writes the first rule of who has none."""

from collections import Counter

import structlog

from controller.metrics import ControllerMetrics
from controller.places import Placer
from controller.registry import Registry
from core.clock import Clock
from core.errors import UnavailableError
from core.versions import first_route
from runtime.service import Stop, pause
from state.apps import AppStore, Instance, NoSlotError

BY = "controller"
"""Who has written a rule, in its log."""

_log = structlog.stdlib.get_logger("controller")


class Watcher:
    """Asks the registry again and again."""

    def __init__(
        self,
        *,
        registry: Registry,
        store: AppStore,
        placer: Placer,
        clock: Clock,
        every: float,
        metrics: ControllerMetrics,
    ) -> None:
        """`every` is in seconds."""
        self._registry = registry
        self._store = store
        self._placer = placer
        self._clock = clock
        self._every = every
        self._metrics = metrics
        self.problem: str | None = "nothing has been looked at yet"
        """What did not answer at the last look; None where all did."""

    async def run(self, stop: Stop) -> None:
        """Look until `stop`."""
        while not stop.is_set():
            await self.step()
            await pause(self._every, stop)

    async def step(self) -> None:
        """Look once."""
        problem = None
        try:
            instances = await self._registry.instances()
            await self._store.see(self._clock(), instances)
            await self._placer.settle(instances)
            problem = await self._first_rules(instances)
            self._tell(instances)
        except UnavailableError as error:
            self._metrics.unread.inc()
            problem = str(error)
        if problem != self.problem:
            if problem:
                _log.warning("it cannot see what runs, or write its rule", reason=problem)
            else:
                _log.info("it sees what runs", instances=len(instances))
        self.problem = problem

    async def _first_rules(self, instances: list[Instance]) -> str | None:
        """Why there are applications without a rule; None where all have one."""
        routes, problem = await self._store.routes(), None
        without: list[str] = []
        # The oldest is the first; of those that are as old, the one whose name comes first.
        for each in sorted(instances, key=lambda each: (each.since, each.version)):
            if each.app not in routes:
                route = first_route(each.app, each.version)
                why = f"{each.version} is the first version that is seen"
                routes[each.app] = route
                try:
                    if await self._store.put(route, replaces=0, by=BY, at=self._clock(), why=why):
                        _log.info("first rule", app=each.app, version=each.version)
                except NoSlotError as error:
                    problem = str(error)
                    without.append(each.app)
        return f"{problem} (without one: {', '.join(without)})" if problem else None

    def _tell(self, instances: list[Instance]) -> None:
        self._metrics.instances.clear()
        for (app, version, healthy), count in Counter(
            (each.app, each.version, str(each.healthy).lower()) for each in instances
        ).items():
            self._metrics.instances.labels(app, version, healthy).set(count)
