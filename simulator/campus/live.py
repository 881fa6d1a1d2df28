"""The crowd now: each fix when it is due, and what devices make of it over MQTT."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core.clock import Clock
from simulator.campus.crowd import Crowd, Moment
from simulator.campus.fleet import Fleet
from simulator.campus.links import Acknowledged, Connected, Links, Refused
from simulator.campus.pace import Pace
from simulator.device import Publish
from simulator.outline import Rings
from simulator.publisher import LoginRefusedError, NotConnectedError

STILL_THERE_MS = 10 * 60_000
"""Whoever reported in these last minutes is there when the crowd begins."""
_LOOK_SECONDS = 0.2
_LAST_SECONDS = 10.0
_BEFORE = "before:"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is lived when. Milliseconds since the epoch, UTC."""

    pace: Pace
    shift_ms: int
    """To add to the crowd's times, to have those that positions bear."""
    until_ms: int | None
    """When it ends, by the clock of this machine."""
    warm_from_ms: int | None
    """Send who is there first, and then, as fast as it is taken, all since this time by the crowd's real hours."""
    connect_seconds: float = 120.0
    """How long to wait for the first connection."""


class Live:
    """Runs a plan. What is sent late is sent all the same: nothing is left out."""

    def __init__(self, crowd: Crowd, rings: Rings | None, links: Links, plan: Plan, *, seed: int, clock: Clock) -> None:
        self._crowd = crowd
        self._links = links
        self._plan = plan
        self._clock = clock
        self._now = Fleet(rings, self._send, seed)
        # The past of a day is sent while the present goes on: a device of its own, so that neither waits for the other.
        self._before = Fleet(rings, self._send_before, seed)
        self.reached_ms = plan.pace.start_ms
        """How far the campus's time has come."""

    @property
    def inside(self) -> int:
        """How many devices are on the campus."""
        return self._now.inside

    @property
    def unsent(self) -> int:
        """Positions that nobody has acknowledged yet."""
        return self._now.unsent + self._before.unsent

    @property
    def dropped(self) -> int:
        """Positions that devices gave up."""
        return self._now.dropped + self._before.dropped

    @property
    def acknowledged(self) -> int:
        """Messages that the server has taken."""
        return self._links.acknowledged

    def run(self, progress: Callable[[], None]) -> None:
        """Until the end of the plan; `progress` is called now and then.

        Raises LoginRefusedError and NotConnectedError where there is no connection from the start.
        """
        wait_for_a_connection(self._links, self._plan, self._clock)
        past: Iterator[Moment] = iter(())
        if self._plan.warm_from_ms is not None:
            for moment in self._there_now():
                self._wait_for_room(progress)
                self._now.moment(moment)
            past = self._crowd.moments(self._plan.warm_from_ms, self._plan.pace.start_ms)
        for moment in self._crowd.moments(self._plan.pace.start_ms - self._plan.shift_ms):
            due = moment._replace(at_ms=moment.at_ms + self._plan.shift_ms)
            self._until_due(due.at_ms, past, progress)
            if self._has_ended():
                break
            self._now.moment(due)
            self.reached_ms = due.at_ms
            self._hear(0.0)
        self._wait_for_acknowledgements(progress)

    def _until_due(self, at_ms: int, past: Iterator[Moment], progress: Callable[[], None]) -> None:
        while not self._has_ended():
            wait = (self._plan.pace.due(at_ms) - self._clock()) / 1000
            if wait <= 0 and self._links.has_room:
                return
            if self._links.has_room and (one := next(past, None)) is not None:
                self._before.moment(one)
                self._hear(0.0)
            else:
                self._hear(min(wait, _LOOK_SECONDS) if wait > 0 else _LOOK_SECONDS)
                now_ms = self._plan.pace.time_at(self._clock())
                for fleet in (self._now, self._before):
                    fleet.tick(now_ms)
            progress()

    def _there_now(self) -> list[Moment]:
        start_ms = self._plan.pace.start_ms - self._plan.shift_ms
        last = {moment.unit.id: moment for moment in self._crowd.moments(start_ms - STILL_THERE_MS, start_ms)}
        # They are there now: a fix that is some minutes old is nearly that of now.
        return [moment._replace(at_ms=self._plan.pace.start_ms) for moment in last.values()]

    def _wait_for_room(self, progress: Callable[[], None]) -> None:
        while not self._links.has_room and not self._has_ended():
            self._hear(_LOOK_SECONDS)
            progress()

    def _wait_for_acknowledgements(self, progress: Callable[[], None]) -> None:
        until = self._clock() + _LAST_SECONDS * 1000
        while self._links.under_way and self._clock() < until:
            self._hear(_LOOK_SECONDS)
            progress()

    def _hear(self, seconds: float) -> None:
        for one in self._links.told(seconds):
            if isinstance(one, Acknowledged):
                before = one.device.startswith(_BEFORE)
                fleet, device = (self._before, one.device[len(_BEFORE) :]) if before else (self._now, one.device)
                fleet.acknowledged(device, one.packet, self._plan.pace.time_at(self._clock()))

    def _has_ended(self) -> bool:
        return self._plan.until_ms is not None and self._clock() >= self._plan.until_ms

    def _send(self, device: str, message: Publish) -> None:
        self._links.publish(device, message.topic, message.payload, message.packet)

    def _send_before(self, device: str, message: Publish) -> None:
        self._links.publish(_BEFORE + device, message.topic, message.payload, message.packet)


def wait_for_a_connection(links: Links, plan: Plan, clock: Clock) -> None:
    """Until a server has let one in. Raises LoginRefusedError and NotConnectedError."""
    until = clock() + plan.connect_seconds * 1000
    while clock() < until:
        for one in links.told(_LOOK_SECONDS):
            if isinstance(one, Connected):
                return
            if isinstance(one, Refused):
                raise LoginRefusedError(f"MQTT refuses the connection: {one.why}")
        if plan.until_ms is not None and clock() >= plan.until_ms:
            break
    raise NotConnectedError(
        f"no MQTT connection within {plan.connect_seconds:g} s: is `make run` up, and are MQTT_HOST and"
        " MQTT_PORT right?"
    )
