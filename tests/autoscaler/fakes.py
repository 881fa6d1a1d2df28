"""An Engine, a HAProxy, nodes and clients in memory, with a clock that the test moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from autoscaler.containers import Container
from autoscaler.engine import Signal
from autoscaler.fleet import Fleet
from autoscaler.haproxy import BACKENDS, Server
from autoscaler.loop import Autoscaler
from autoscaler.metrics import AutoscalerMetrics
from autoscaler.nodes import NodeFigures
from autoscaler.reading import Reader
from autoscaler.settings import AutoscalerSettings
from core.errors import UnavailableError
from tests.conftest import NOON

START_SECONDS = 4
"""From the start of a container to its health."""
DRAIN_SECONDS = 20


class FakeClock:
    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


@dataclass
class Machine:
    """One container, and what goes on in it."""

    container: Container
    sessions: int = 0
    received: float = 0.0
    draining_since: int | None = None
    sessions_then: int = 0
    slot: int | None = None
    ends_at: int | None = None


@dataclass
class World:
    """The whole system outside of the autoscaler: it is the Engine, HAProxy, the nodes and Redis."""

    clock: FakeClock = field(default_factory=FakeClock)
    machines: dict[str, Machine] = field(default_factory=dict)
    drained: set[tuple[str, int]] = field(default_factory=set)
    """Backend and number of slots that were told to drain."""
    connections: int = 0
    messages: float = 0.0
    """A second."""
    lag: int | None = 0
    slots: int = 8
    engine_away: bool = False
    haproxy_away: bool = False
    never_healthy: bool = False
    never_ends: bool = False
    refuses_to_create: bool = False
    calls: list[str] = field(default_factory=list)
    """What was asked for that changes something."""
    fail_at: int | None = None
    """The how-manieth such call does not return: the autoscaler is killed there."""
    made: int = 0

    # --- the test's side ----------------------------------------------------------------------------------------------

    def add(self, service: str, number: int, *, clone: bool = False) -> Container:
        self.made += 1
        container = Container(
            id=f"{self.made:064x}",
            name=f"campus-{service}-{number}",
            service=service,
            number=number,
            created=self.clock(),
            state="running",
            health="starting" if clone else "healthy",
            is_clone=clone,
            addresses=(f"10.0.0.{self._free_address()}",),
        )
        machine = Machine(container)
        if service == "broker":
            taken = {each.slot for each in self.machines.values()}
            machine.slot = next((slot for slot in range(1, self.slots + 1) if slot not in taken), None)
        self.machines[container.id] = machine
        return container

    def _free_address(self) -> int:
        taken = {address for each in self.machines.values() for address in each.container.addresses}
        return next(host for host in range(2, 250) if f"10.0.0.{host}" not in taken)

    def advance(self, seconds: float) -> None:
        """Time passes: containers become healthy, sessions move, messages come, drained nodes end."""
        self.clock.advance(seconds)
        for machine in self.machines.values():
            self._age(machine)
        serving = [each for each in self._running("broker") if self._in_rotation(each)]
        staying = sum(each.sessions for each in self._running("broker") if each not in serving)
        for index, machine in enumerate(serving):
            share, rest = divmod(max(0, self.connections - staying), len(serving))
            machine.sessions = share + (index < rest)
            machine.received += self.messages * seconds / len(serving)

    def _age(self, machine: Machine) -> None:
        container, now = machine.container, self.clock()
        if container.state != "running":
            return
        if (
            container.health == "starting"
            and not self.never_healthy
            and now - container.created >= START_SECONDS * 1000
        ):
            machine.container = replace(container, health="healthy")
        if machine.draining_since is not None:
            left = 1 - (now - machine.draining_since) / (DRAIN_SECONDS * 1000)
            machine.sessions = max(0, round(machine.sessions_then * left))
            if left <= 0 and not self.never_ends:
                self.end(container)

    def end(self, container: Container, exit_code: int = 0) -> None:
        machine = self.machines[container.id]
        machine.sessions = 0
        machine.container = replace(machine.container, state="exited", health=None, addresses=(), exit_code=exit_code)

    def count(self, service: str) -> int:
        """How many run and stay."""
        return sum(machine.draining_since is None for machine in self._running(service))

    def names(self, service: str, *states: str) -> list[str]:
        found = [each.container for each in self.machines.values() if each.container.service == service]
        return [each.name for each in found if not states or each.state in states]

    def _running(self, service: str) -> list[Machine]:
        return [
            each
            for each in self.machines.values()
            if each.container.service == service and each.container.state == "running"
        ]

    def _in_rotation(self, machine: Machine) -> bool:
        return (
            machine.slot is not None
            and machine.container.health == "healthy"
            and machine.draining_since is None
            and ("brokers", machine.slot) not in self.drained
        )

    # --- the Engine ---------------------------------------------------------------------------------------------------

    async def containers(self) -> list[Container]:
        if self.engine_away:
            raise UnavailableError("the Engine is away")
        return [machine.container for machine in self.machines.values()]

    def _did(self, what: str) -> None:
        if self.engine_away:
            raise UnavailableError("the Engine is away")
        self.calls.append(what)
        if self.fail_at is not None and len(self.calls) >= self.fail_at:
            raise Killed

    async def clone(self, original: Container, number: int) -> str:
        if self.refuses_to_create:
            raise UnavailableError("no space left on device")
        made = self.add(original.service, number, clone=True)
        self._did(f"start {made.name}")
        return made.id

    async def signal(self, container: Container, signal: Signal) -> None:
        machine = self.machines[container.id]
        if machine.draining_since is None:
            machine.draining_since, machine.sessions_then = self.clock(), machine.sessions
        self._did(f"{signal} {container.name}")

    async def stop(self, container: Container) -> None:
        self.end(container)
        self._did(f"stop {container.name}")

    async def remove(self, container: Container) -> None:
        assert self.machines[container.id].container.state in ("exited", "created"), "it still runs"
        del self.machines[container.id]
        self._did(f"remove {container.name}")

    # --- HAProxy ------------------------------------------------------------------------------------------------------

    async def servers(self) -> list[Server]:
        if self.haproxy_away:
            raise UnavailableError("HAProxy is away")
        by_slot = {each.slot: each for each in self._running("broker")}
        found = []
        for backend in BACKENDS:
            for slot in range(1, self.slots + 1):
                machine = by_slot.get(slot)
                found.append(
                    Server(
                        backend=backend,
                        name=f"broker-{slot}",
                        address=machine.container.addresses[0] if machine else "",
                        sessions=machine.sessions if machine and backend == "brokers" else 0,
                        draining=(backend, slot) in self.drained,
                        up=bool(machine) and machine is not None and machine.container.health == "healthy",
                    )
                )
        return found

    async def set_state(self, server: Server, state: Literal["drain", "ready"]) -> None:
        if self.haproxy_away:
            raise UnavailableError("HAProxy is away")
        slot = server.backend, int(server.name.removeprefix("broker-"))
        if state == "drain":
            self.drained.add(slot)
        else:
            self.drained.discard(slot)
        self._did(f"{state} {server.backend}/{server.name}")

    # --- the nodes and Redis ------------------------------------------------------------------------------------------

    async def read(self, containers: Sequence[Container]) -> Mapping[str, NodeFigures]:
        return {
            each.id: NodeFigures(self.machines[each.id].received, self.machines[each.id].draining_since is not None)
            for each in containers
            if self.machines[each.id].container.state == "running"
        }

    async def decoder_lag(self) -> int:
        if self.lag is None:
            raise UnavailableError("Redis is away")
        return self.lag


class Killed(BaseException):
    """The autoscaler was killed in the middle of something."""


def autoscaler_of(
    world: World, settings: AutoscalerSettings, *, dry_run: bool = False
) -> tuple[Autoscaler, AutoscalerMetrics]:
    """A new process that knows nothing of an earlier one."""
    metrics = AutoscalerMetrics()
    reader = Reader(engine=world, proxy=world, nodes=world, lag=world.decoder_lag, clock=world.clock)
    fleets = {
        service: Fleet(
            service=service,
            engine=world,
            proxy=world if service == "broker" else None,
            settings=settings,
            metrics=metrics,
            clock=world.clock,
            dry_run=dry_run,
        )
        for service in ("broker", "decoder")
    }
    return Autoscaler(reader=reader, fleets=fleets, metrics=metrics, interval=settings.scale_interval), metrics
