"""The devices of a crowd: each decides for itself what to send (`simulator.device`), whatever carries it."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from simulator.campus.chance import chance
from simulator.campus.crowd import Moment
from simulator.device import Command, Connect, Device, FetchOutline, Publish, WakeAt
from simulator.outline import Rings

Send = Callable[[str, Publish], None]
"""Takes the id of a device and what it publishes. It answers with `Fleet.acknowledged`, later."""


@dataclass(slots=True)
class _Driven:
    device: Device
    skew_ms: int
    signal: bool = True
    wake_ms: int | None = None
    """By the clock of the device."""


class Fleet:
    """Drives devices: facts of the crowd go in, and what they publish goes to `send`.

    Times are true ones, milliseconds since the epoch, UTC; each device is told those of its own clock.
    """

    def __init__(self, rings: Rings | None, send: Send, seed: int) -> None:
        """`rings` is the outline of the campus, which all devices are given."""
        self._rings = rings
        self._send = send
        self._chance = chance(seed, "fleet")
        self._driven: dict[str, _Driven] = {}
        self._wakes: list[tuple[int, str]] = []

    @property
    def inside(self) -> int:
        """How many devices were on the campus with their last fix."""
        return sum(driven.device.inside is True for driven in self._driven.values())

    @property
    def unsent(self) -> int:
        """How many positions nobody has acknowledged yet."""
        return sum(driven.device.unsent for driven in self._driven.values())

    @property
    def dropped(self) -> int:
        """How many positions devices gave up."""
        return sum(driven.device.dropped for driven in self._driven.values())

    def moment(self, moment: Moment) -> None:
        """A receiver has a fix. Whether its device has a connection it says, too."""
        unit = moment.unit
        driven = self._driven.get(unit.id)
        now_ms = moment.by_its_clock_ms
        if driven is None:
            driven = self._driven[unit.id] = _Driven(Device(unit.id, unit.kind.topic), unit.skew_ms)
            self._carry_out(unit.id, driven, driven.device.outline(self._rings, None, now_ms), now_ms)
        if driven.signal and not moment.reading.signal:
            driven.signal = False
            self._carry_out(unit.id, driven, driven.device.lost(now_ms, self._chance.random()), now_ms)
        driven.signal = moment.reading.signal
        self._carry_out(unit.id, driven, driven.device.fix(moment.fix, now_ms), now_ms)

    def acknowledged(self, device: str, packet: int, at_ms: int) -> None:
        """What a device published has been acknowledged."""
        driven = self._driven[device]
        # What is acknowledged while there is no signal reaches nobody.
        if driven.signal:
            now_ms = at_ms + driven.skew_ms
            self._carry_out(device, driven, driven.device.acknowledged(packet, now_ms), now_ms)

    def tick(self, at_ms: int) -> None:
        """It is this time: whoever wanted to be woken is."""
        while self._wakes and self._wakes[0][0] <= at_ms:
            _, device = heapq.heappop(self._wakes)
            driven = self._driven[device]
            now_ms = at_ms + driven.skew_ms
            if driven.wake_ms is not None and driven.wake_ms <= now_ms:
                driven.wake_ms = None
                self._carry_out(device, driven, driven.device.tick(now_ms), now_ms)

    def _carry_out(self, device: str, driven: _Driven, commands: list[Command], now_ms: int) -> None:
        waiting = list(commands)
        while waiting:
            match waiting.pop(0):
                case Connect() if driven.signal:
                    waiting += driven.device.connected(now_ms)
                case Connect():
                    waiting += driven.device.lost(now_ms, self._chance.random())
                case Publish() as message:
                    self._send(device, message)
                case FetchOutline():
                    waiting += driven.device.outline(self._rings, None, now_ms)
                case WakeAt(at_ms):
                    driven.wake_ms = at_ms
                    heapq.heappush(self._wakes, (at_ms - driven.skew_ms, device))
                case _:
                    pass
