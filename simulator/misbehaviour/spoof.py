"""Positions that cannot be true, and positions of elsewhere."""

from core.clock import Clock
from simulator.misbehaviour.answer import Answer
from simulator.misbehaviour.positions import encoded, far_apart, feature, outside
from simulator.misbehaviour.system import System

JUMPS, ELSEWHERE = 20, 10
SECOND_MS = 1000


def spoof(system: System, name: str, clock: Clock) -> Answer:
    """A device that jumps across the campus each second, and one that is not there at all."""
    before, topic = system.figures(), system.kind.topic
    places = far_apart(system.campus)
    now = clock()
    with system.wire() as wire:
        wire.connect(f"{name}-spoof", system.gateway)
        jumps = [
            wire.publish(topic, encoded(feature(f"{name}-jumps", places[step % 2], now + (step - JUMPS) * SECOND_MS)))
            for step in range(JUMPS)
        ]
        away = [
            wire.publish(topic, encoded(feature(f"{name}-away", outside(system.campus), now + step)))
            for step in range(ELSEWHERE)
        ]
    return Answer(
        "spoof",
        f"{JUMPS} positions of a device that crosses the campus each second, {ELSEWHERE} from elsewhere",
        [f"{sum(jumps) + sum(away)} acknowledged", *system.changes(before, messages=JUMPS + ELSEWHERE)],
    )
