"""Walks the canaries that run: looks, decides, and changes rule and canary in one step."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import structlog

from controller.canary import Back, Compared, Done, Hold, Limits, decide
from controller.counted import of_places, since, unknown
from controller.measuring import Measures, measured_since
from controller.metrics import ControllerMetrics
from core.clock import Clock
from core.errors import UnavailableError
from core.versions import Route, changed, shares_with
from runtime.service import Stop, pause
from state.apps import AppStore, Canary, Counters, Figures, Instance, Measure

LOOK_SECONDS = 2.0
_ASKED_AT_ONCE = 16
"""Instances that are asked for their measure: each may take two seconds not to answer."""
BY = "canary"
"""Who has changed a rule, in its log."""

_log = structlog.stdlib.get_logger("controller")


@dataclass(frozen=True, slots=True)
class _Look:
    """What is at one moment; `now` is in ms since the epoch."""

    now: int
    route: Route
    figures: dict[str, Figures]
    measured: dict[str, Measure]


class CanaryLoop:
    """All canaries that run."""

    def __init__(
        self, *, store: AppStore, measures: Measures, limits: Limits, clock: Clock, metrics: ControllerMetrics
    ) -> None:
        self._store = store
        self._measures = measures
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self.problem: str | None = None
        """What did not answer at the last look; None where all did."""

    async def run(self, stop: Stop) -> None:
        """Look every two seconds until `stop`."""
        while not stop.is_set():
            await self.step()
            await pause(LOOK_SECONDS, stop)

    async def step(self) -> None:
        """Look once at each canary."""
        try:
            for canary in (await self._store.canaries()).values():
                if canary.state == "running":
                    await self._look_at(canary)
            self.problem = None
        except UnavailableError as error:
            self.problem = f"canaries wait: {error}"

    async def _look_at(self, canary: Canary) -> None:
        try:
            await self._walk(canary)
        except (ArithmeticError, ValueError) as error:
            # What cannot be reckoned with is one canary's own: others go on.
            route = await self._store.route(canary.app)
            if route is not None and route.number == canary.number:
                await self._back(canary, route, f"it cannot be compared: {str(error)[:200]}")

    async def _walk(self, canary: Canary) -> None:
        route = await self._store.route(canary.app)
        if route is None or route.number != canary.number:
            why = "somebody else has changed the rule; it stays as they wanted it"
            await self._end(msgspec.structs.replace(canary, state="ended", why=why))
            return
        seen = await self._store.seen()
        if seen is None:
            await self._store.tell(msgspec.structs.replace(canary, why="it waits: nobody knows what runs at present"))
            return
        instances = [each for each in seen.instances if each.app == canary.app and each.healthy]
        now = self._clock()
        look = _Look(now, route, await self._store.figures(now), await self._measured(canary, instances))
        if canary.step_at == 0:
            await self._begin(canary, look)
            return
        if late := unknown(look.figures, canary):
            canary = msgspec.structs.replace(canary, baseline={**canary.baseline, **late})
        compared = await self._compared(canary, look, instances)
        healthy = any(each.version == canary.version for each in instances)
        verdict = decide(canary, compared, healthy=healthy, now=now, limits=self._limits)
        if isinstance(verdict, Hold):
            await self._store.tell(msgspec.structs.replace(canary, why=verdict.why))
        elif isinstance(verdict, Done):
            await self._end(msgspec.structs.replace(canary, state="done", why=verdict.why))
        elif isinstance(verdict, Back):
            await self._back(canary, route, verdict.why)
        else:
            await self._go(canary, look, canary.step + 1, why=verdict.why, others=compared.others)

    async def _begin(self, canary: Canary, look: _Look) -> None:
        """Count from now on: who asked for the canary has written the rule of its first step."""
        before = of_places(look.figures, await self._places(canary, new=False))
        why = f"at {canary.steps[0]} %: it begins"
        begun = msgspec.structs.replace(
            canary, step_at=look.now, why=why, baseline=look.figures, measured=look.measured, others=before
        )
        if await self._store.tell(begun):
            _log.info("canary", app=canary.app, version=canary.version, share=canary.steps[0], why="it begins")

    async def _go(self, canary: Canary, look: _Look, step: int, *, why: str, others: Counters) -> None:
        share = canary.steps[step]
        after = changed(look.route, shares=shares_with(canary.before, canary.version, share))
        begun = msgspec.structs.replace(
            canary,
            number=after.number,
            step=step,
            step_at=look.now,
            why=f"at {share} %: {why}",
            baseline=look.figures,
            measured=look.measured,
            others=others,
        )
        if await self._put(after, look.route, begun):
            self._metrics.canaries.labels("next").inc()
            _log.info("canary", app=canary.app, version=canary.version, share=share, why=why)

    async def _back(self, canary: Canary, route: Route, why: str) -> None:
        after = changed(route, shares=canary.before)
        ended = msgspec.structs.replace(canary, number=after.number, state="back", why=why)
        if await self._put(after, route, ended):
            self._told(ended)

    async def _put(self, after: Route, before: Route, canary: Canary) -> bool:
        """False where somebody has changed the rule in between: the next look sees that."""
        return await self._store.put(
            after, replaces=before.number, by=BY, at=self._clock(), why=canary.why, canary=canary
        )

    async def _end(self, canary: Canary) -> None:
        if await self._store.tell(canary):
            self._told(canary)

    def _told(self, canary: Canary) -> None:
        self._metrics.canaries.labels(canary.state).inc()
        _log.info("canary", app=canary.app, version=canary.version, state=canary.state, why=canary.why)

    async def _places(self, canary: Canary, *, new: bool) -> list[int]:
        places = await self._store.places()
        return [
            place
            for name, place in places.items()
            if name.partition("/")[0] == canary.app and (name == f"{canary.app}/{canary.version}") is new
        ]

    async def _compared(self, canary: Canary, look: _Look, instances: list[Instance]) -> Compared:
        others = since(look.figures, canary, await self._places(canary, new=False))
        new_instances = [each for each in instances if each.version == canary.version]
        old_instances = [each for each in instances if each.version != canary.version]
        return Compared(
            new=since(look.figures, canary, await self._places(canary, new=True)),
            # At 100 % the others get nobody any more: the step before says how they did.
            others=others if canary.steps[canary.step] < 100 else canary.others,  # noqa: PLR2004 - percent
            new_measured=measured_since(look.measured, canary, new_instances),
            others_measured=measured_since(look.measured, canary, old_instances),
        )

    async def _measured(self, canary: Canary, instances: Iterable[Instance]) -> dict[str, Measure]:
        if not canary.measure:
            return {}
        asking = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def read(each: Instance) -> tuple[str, Measure | None]:
            async with asking:
                return each.name, await self._measures.read(each, canary.measure)

        found = await asyncio.gather(*(read(each) for each in instances))
        return {name: measure for name, measure in found if measure is not None}
