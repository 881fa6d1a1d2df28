"""The crowd now, each device with an MQTT connection of its own."""

import signal
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple, Self

from core.clock import Clock
from simulator.campus.chance import chance
from simulator.campus.crowd import Moment
from simulator.campus.live import Plan
from simulator.device import DEFAULT_POLICY, Device, Policy
from simulator.device_paho import DrivenDevice
from simulator.interrupts import Interrupts
from simulator.login import Login
from simulator.zones import Ask

MAX_OWN = 500
"""Devices: each is two threads, and a persistent session, of which the broker allows a user 1000."""
_LOOK_SECONDS = 0.2
_LAST_SECONDS = 10.0
_MAX_SAID = 20
"""Sentences about what is in the way: the same one comes from each device."""


class Way(NamedTuple):
    """How each device comes to MQTT."""

    broker: str
    """A URL, as `DrivenDevice` takes it."""
    login: Login
    ca_file: str | None = None


class _One(NamedTuple):
    device: Device
    driven: DrivenDevice


class Owned:
    """Runs a plan at the pace of this machine's clock. A context manager: at its end all connections end.

    Inside it Ctrl-C and SIGTERM raise KeyboardInterrupt. Any thread may ask for its counts.
    """

    def __init__(
        self,
        moments: Iterable[Moment],
        plan: Plan,
        way: Way,
        *,
        zones: Ask,
        say: Callable[[str], None],
        seed: int,
        clock: Clock,
        policy: Policy = DEFAULT_POLICY,
    ) -> None:
        """`moments` are the crowd's, by its own times. Devices ask `zones`; `say` hears once each of what is wrong."""
        self.reached_ms = plan.pace.start_ms
        """How far the campus's time has come."""
        self._moments = moments
        self._plan = plan
        self._way = way
        self._zones = zones
        self._say = say
        self._said: set[str] = set()
        self._seed = seed
        self._clock = clock
        self._policy = policy
        self._all: dict[str, _One] = {}
        self._with_signal: set[str] = set()
        self._stack = ExitStack()
        self._interrupts = Interrupts(signal.SIGTERM)

    def __enter__(self) -> Self:
        """Nothing is connected yet: a device connects when it has something to send."""
        self._interrupts.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all, whatever is still waiting."""
        try:
            with self._interrupts.held():
                for one in self._all.values():
                    one.driven.end()
                self._stack.close()
        finally:
            self._interrupts.end()

    @property
    def inside(self) -> int:
        """How many devices are on the campus."""
        return sum(one.device.inside is True for one in list(self._all.values()))

    @property
    def unsent(self) -> int:
        """Positions that nobody has acknowledged yet."""
        return sum(one.device.unsent for one in list(self._all.values()))

    @property
    def dropped(self) -> int:
        """Positions that devices gave up."""
        return sum(one.device.dropped for one in list(self._all.values()))

    @property
    def acknowledged(self) -> int:
        """Messages that the server has taken."""
        return sum(one.driven.acknowledged for one in list(self._all.values()))

    def run(self, progress: Callable[[], None]) -> None:
        """Until the end of the plan; `progress` is called now and then."""
        for moment in self._moments:
            due = moment._replace(at_ms=moment.at_ms + self._plan.shift_ms)
            self._wait_until(due.at_ms, progress)
            if self._has_ended():
                break
            self._moment(due)
            self.reached_ms = due.at_ms
        until = self._clock() + _LAST_SECONDS * 1000
        while self._clock() < until and any(self._all[device].device.unsent for device in self._with_signal):
            time.sleep(_LOOK_SECONDS)

    def _wait_until(self, at_ms: int, progress: Callable[[], None]) -> None:
        while not self._has_ended() and (wait := (at_ms - self._clock()) / 1000) > 0:
            time.sleep(min(wait, _LOOK_SECONDS))
            progress()

    def _moment(self, moment: Moment) -> None:
        # The library's threads have locks: Ctrl-C must not come while one is started.
        with self._interrupts.held():
            device = moment.unit.id
            one = self._all.get(device) or self._begun(moment)
            there, was_there = moment.reading.signal, device in self._with_signal
            if was_there and not there:
                self._with_signal.remove(device)
                one.driven.signal(there=False)
            one.driven.fix(moment.fix)
            # After the fix: the newest place is what it sends first.
            if there and not was_there:
                self._with_signal.add(device)
                one.driven.signal(there=True)

    def _begun(self, moment: Moment) -> _One:
        unit = moment.unit
        device = Device(unit.id, unit.kind.topic, self._policy)
        driven = DrivenDevice(
            device,
            broker=self._way.broker,
            zones=self._zones,
            client_id=unit.id,
            username=self._way.login.username,
            password=self._way.login.password,
            ca_file=self._way.ca_file,
            say=self._heard,
            clock=lambda: self._clock() + unit.skew_ms,
            chance=chance(self._seed, "own", unit.id).random,
        )
        self._all[unit.id] = _One(device, self._stack.enter_context(driven))
        self._with_signal.add(unit.id)
        return self._all[unit.id]

    def _heard(self, problem: str) -> None:
        if problem not in self._said and len(self._said) < _MAX_SAID:
            self._said.add(problem)
            self._say(problem)

    def _has_ended(self) -> bool:
        return self._plan.until_ms is not None and self._clock() >= self._plan.until_ms
