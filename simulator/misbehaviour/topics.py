"""Topics that are nobody's to publish to, or not this device's to read."""

from core.clock import Clock
from simulator.misbehaviour.answer import Answer
from simulator.misbehaviour.positions import encoded, feature, inside
from simulator.misbehaviour.system import System
from simulator.misbehaviour.wire import ClosedError

PRIVATE = ("#", "$SYS/#")


def topics(system: System, name: str, clock: Clock) -> Answer:
    """A device publishes as the mirror, the system and another kind, and subscribes to positions of others."""
    before, kind = system.figures(), system.kind
    login = system.device(kind) or system.gateway
    message = encoded(feature(None, inside(system.campus.boundary), clock()))
    others = [other.topic for other in system.kinds if other.id != kind.id]
    wrong = [f"v1/zones/{system.campus.boundary.id}/occupancy", "$SYS/broker/clients", f"nowhere/{name}", *others]
    acknowledged = 0
    for number, topic in enumerate(wrong):
        with system.wire() as wire:
            wire.connect(f"{name}-topics-{number}", login)
            acknowledged += wire.publish(topic, message)
    filters = [*PRIVATE, *(f"{each.topic}/#" for each in system.kinds)]
    granted = 0
    with system.wire() as wire:
        wire.connect(f"{name}-listens", login)
        for topic_filter in filters:
            try:
                granted += wire.subscribe(topic_filter)
            except ClosedError:
                break
    return Answer(
        "topics",
        f"a device publishes to {len(wrong)} topics that are not its own, and subscribes to {len(filters)}",
        [
            f"{acknowledged} acknowledged, and dropped",
            f"{granted} of {len(filters)} subscriptions granted",
            *system.changes(before, messages=0),
        ],
    )
