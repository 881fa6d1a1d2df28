"""One message, again and again."""

import time

from core.clock import Clock
from simulator.misbehaviour.answer import Answer
from simulator.misbehaviour.positions import encoded, feature, inside
from simulator.misbehaviour.system import System

TIMES = 100
SEEN_SECONDS = 20.0
_LOOK_SECONDS = 0.1


def duplicates(system: System, name: str, clock: Clock) -> Answer:
    """The same position a hundred times, over two connections."""
    kind = system.kind
    zone = next(iter(system.campus.zones), system.campus.boundary)
    message = encoded(feature(f"{name}-twice", inside(zone), clock()))
    before, there = system.figures(), system.devices(zone.id, kind)
    with system.wire() as one, system.wire() as other:
        for number, wire in enumerate((one, other)):
            wire.connect(f"{name}-twice-{number}", system.gateway)
        acknowledged = sum(wire.publish(kind.topic, message) for _ in range(TIMES // 2) for wire in (one, other))
    changes = system.changes(before, messages=TIMES)
    until = time.monotonic() + SEEN_SECONDS
    while (now := system.devices(zone.id, kind)) == there and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    return Answer(
        "duplicates",
        f"one position, {TIMES} times over two connections",
        [f"{acknowledged} acknowledged", f"REST counts {now - there} {kind.one} more in {zone.id}", *changes],
    )
