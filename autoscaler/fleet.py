"""The containers of one service, step by step to as many as there should be.

Each step looks at what is there and does what comes next, and keeps nothing that the next step needs: who is leaving
tells HAProxy (its slot is told to drain) or the node itself. So an autoscaler that was killed goes on where it was.
"""

from dataclasses import dataclass

import structlog

from autoscaler.containers import Container, next_number
from autoscaler.engine import Engine, Signal
from autoscaler.haproxy import Proxy, Server
from autoscaler.metrics import AutoscalerMetrics, Step
from autoscaler.policy import Scaler
from autoscaler.reading import Reading
from autoscaler.settings import AutoscalerSettings
from core.clock import Clock
from core.errors import UnavailableError

BACKOFF_FIRST_SECONDS = 10.0
BACKOFF_MAX_SECONDS = 300.0
DECODER_LIMIT_SECONDS = 15.0
"""How long a decoder may take to finish what is in hand."""

_log = structlog.stdlib.get_logger("autoscaler")


@dataclass(frozen=True, slots=True)
class Wish:
    """How many there should be."""

    running: int
    wanted: int
    demand: float | None


class Fleet:
    """All containers of one service. `proxy` is what has to know of those that come and go; None for decoders."""

    def __init__(
        self,
        *,
        service: str,
        engine: Engine,
        proxy: Proxy | None,
        settings: AutoscalerSettings,
        metrics: AutoscalerMetrics,
        clock: Clock,
        dry_run: bool = False,
    ) -> None:
        self._service = service
        self._engine = engine
        self._proxy = proxy
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._dry_run = dry_run
        self._scaler = Scaler(settings=settings, clock=clock, bounds=settings.bounds(service))
        self._signal: Signal = "SIGTERM" if proxy is None else "SIGUSR1"
        self._limit = DECODER_LIMIT_SECONDS if proxy is None else settings.scale_drain_limit
        self._leaving: dict[str, int] = {}
        """Since when it has been seen to leave, by container id; each was sent its signal then."""
        self._healthy: set[str] = set()
        self._arriving: dict[str, int] = {}
        self._failures = 0
        self._not_before = 0
        self._said: tuple[object, ...] = ()
        self._log = _log.bind(service=service)

    async def step(self, seen: Reading) -> Wish:
        """Do what comes next. Raises UnavailableError, after which the next step tries again."""
        mine = seen.of(self._service)
        self._forget(mine)
        leaving = [container for container in mine if container.runs and self._leaves(container, seen)]
        staying = [container for container in mine if container.runs and container not in leaving]
        wish = self._decide(seen, staying)
        self._metrics.running.labels(self._service).set(len(staying))
        self._metrics.leaving.labels(self._service).set(len(leaving))
        if self._dry_run:
            return wish
        self._welcome(staying, seen)
        await self._clear_away(mine, staying)
        await self._release(seen)
        for container in leaving:
            await self._see_off(container, seen)
        if wish.wanted > len(staying):
            # Those that are leaving still take memory: there is room for the others when they have gone.
            room = self._settings.bounds(self._service).maximum - len(staying) - len(leaving)
            await self._start(min(wish.wanted - len(staying), room), mine, staying, seen)
        else:
            for container in newest_first(staying)[: len(staying) - wish.wanted]:
                await self._see_off(container, seen)
        return wish

    def _decide(self, seen: Reading, staying: list[Container]) -> Wish:
        brokers = self._proxy is not None
        demand = seen.load.brokers(self._settings) if brokers else seen.load.decoders(self._settings)
        sure = seen.load.knows_brokers or not brokers
        wanted = self._scaler.decide(running=len(staying), demand=demand, sure=sure)
        self._metrics.wanted.labels(self._service).set(wanted)
        self._metrics.demand.labels(self._service).set(float("nan") if demand is None else demand)
        said = (len(staying), wanted)
        if wanted != len(staying) and said != self._said:
            would = "would scale" if self._dry_run else "scaling"
            self._log.info(
                f"{would} {'out' if wanted > len(staying) else 'in'}",
                running=len(staying),
                wanted=wanted,
                demand=None if demand is None else round(demand, 2),
                connections=seen.load.connections,
                messages=None if seen.load.messages is None else round(seen.load.messages),
                lag=seen.load.lag,
            )
        self._said = said
        return Wish(len(staying), wanted, demand)

    # --- those that leave ---------------------------------------------------------------------------------------------

    def _leaves(self, container: Container, seen: Reading) -> bool:
        figures = seen.nodes.get(container.id)
        return (
            container.id in self._leaving
            or (figures is not None and figures.draining)
            or any(slot.draining for slot in self._slots(container, seen))
        )

    def _slots(self, container: Container, seen: Reading) -> list[Server]:
        if self._proxy is None:
            return []
        return [server for server in seen.servers or () if server.address in container.addresses]

    async def _see_off(self, container: Container, seen: Reading) -> None:
        """Out of HAProxy's rotation, then the signal to leave, then patience, and in the end none."""
        for slot in self._slots(container, seen):
            if not slot.draining and self._proxy is not None:
                await self._proxy.set_state(slot, "drain")
        since = self._leaving.get(container.id)
        if since is None:
            await self._engine.signal(container, self._signal)
            self._leaving[container.id] = self._clock()
            self._log.info("leaving", container=container.name, signal=self._signal)
        elif self._clock() - since > self._limit * 1000:
            self._failed(Step.DRAIN, container.name, f"it has not left in {self._limit:g} s")
            await self._engine.stop(container)

    async def _release(self, seen: Reading) -> None:
        """Slots that were drained and hold nothing any more: the next container that gets one must be served."""
        if self._proxy is None:
            return
        in_use = {address for container in seen.of(self._service) if container.runs for address in container.addresses}
        for server in seen.servers or ():
            if server.draining and server.address not in in_use:
                await self._proxy.set_state(server, "ready")
                self._log.info("slot is free again", slot=f"{server.backend}/{server.name}")

    async def _clear_away(self, mine: list[Container], staying: list[Container]) -> None:
        for container in mine:
            if container.runs or container.state == "removing":
                continue
            since = self._leaving.pop(container.id, None)
            if since is not None:
                await self._remove(container, seconds=self._seconds_since(since))
            elif container.is_clone:
                # Ended by itself, or was half made when the autoscaler was killed; 0 is the end of a drain.
                if container.exit_code:
                    self._failed(Step.START, container.name, f"it ended with {container.exit_code}")
                await self._remove(container)
        for container in self._never_healthy(staying):
            self._failed(Step.START, container.name, f"not healthy after {self._settings.scale_start_limit:g} s")
            await self._engine.stop(container)
            await self._remove(container)

    async def _remove(self, container: Container, **told: float) -> None:
        await self._engine.remove(container)
        self._metrics.removed.labels(self._service).inc()
        self._log.info("removed", container=container.name, **told)

    # --- those that come ----------------------------------------------------------------------------------------------

    async def _start(self, count: int, mine: list[Container], staying: list[Container], seen: Reading) -> None:
        if count <= 0 or self._clock() < self._not_before:
            return
        if self._proxy is not None and seen.servers is None:
            # It might get an address whose slot is still to be released; and nobody could come to it anyway.
            return
        # What compose has made has the newest configuration.
        originals = sorted(staying, key=lambda each: (each.is_healthy, not each.is_clone, each.created), reverse=True)
        if not originals:
            self._failed(Step.CREATE, self._service, "there is no container that runs and could be cloned")
            return
        for number in range(next_number(mine), next_number(mine) + count):
            try:
                made = await self._engine.clone(originals[0], number)
            except UnavailableError as error:
                self._failed(Step.CREATE, f"{self._service} {number}", str(error))
                return
            self._arriving[made] = self._clock()
            self._metrics.started.labels(self._service).inc()
            self._log.info("started", number=number, like=originals[0].name)

    def _welcome(self, staying: list[Container], seen: Reading) -> None:
        """Say when those that were started are healthy and, if that is for HAProxy to say, served."""
        for container in staying:
            if container.is_healthy:
                self._healthy.add(container.id)
            served = container.is_healthy if self._proxy is None else self._is_served(container, seen)
            if served and container.id in self._arriving:
                since = self._arriving.pop(container.id)
                self._failures = 0
                self._log.info("in rotation", container=container.name, seconds=self._seconds_since(since))

    def _is_served(self, container: Container, seen: Reading) -> bool:
        return any(slot.up and not slot.draining for slot in self._slots(container, seen))

    def _never_healthy(self, staying: list[Container]) -> list[Container]:
        # Where none is healthy, the fault is another's: Redis is away, say.
        if not any(container.is_healthy for container in staying):
            return []
        limit = self._clock() - self._settings.scale_start_limit * 1000
        return [
            container
            for container in staying
            if container.is_clone and container.id not in self._healthy and container.created < limit
        ]

    # --- what is remembered -------------------------------------------------------------------------------------------

    def _failed(self, step: Step, what: str, why: str) -> None:
        self._metrics.failures.labels(self._service, step.value).inc()
        wait = min(BACKOFF_FIRST_SECONDS * 2**self._failures, BACKOFF_MAX_SECONDS)
        self._failures = min(self._failures + 1, 10)
        self._not_before = self._clock() + round(wait * 1000)
        self._log.warning("failed", step=step.value, what=what, reason=why, next_start_in=wait)

    def _forget(self, mine: list[Container]) -> None:
        known = {container.id for container in mine}
        for memory in (self._leaving, self._arriving):
            for gone in set(memory) - known:
                del memory[gone]
        self._healthy &= known

    def _seconds_since(self, moment: int) -> float:
        return round((self._clock() - moment) / 1000, 1)


def newest_first(containers: list[Container]) -> list[Container]:
    """In the order in which they are taken away."""
    return sorted(containers, key=lambda each: (each.created, each.number), reverse=True)
