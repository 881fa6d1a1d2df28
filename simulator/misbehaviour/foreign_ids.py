"""Somebody who uses the client id, or the device id, of somebody else."""

from core.clock import Clock
from simulator.misbehaviour.answer import Answer
from simulator.misbehaviour.positions import encoded, feature, inside
from simulator.misbehaviour.system import System
from simulator.misbehaviour.wire import NO_ANSWER

MESSAGES = 10


def foreign_ids(system: System, name: str, clock: Clock) -> Answer:
    """A device logs in with the client id of a gateway that is connected, and speaks for another device."""
    before, kind = system.figures(), system.kind
    thief = system.device(kind)
    if thief is None:
        return Answer("foreign-ids", "nothing: it takes a user who is a device", ["left out"])
    with system.wire() as owner, system.wire() as other:
        owner.connect(f"{name}-owner", system.gateway)
        code = other.connect(f"{name}-owner", thief)
        kept = owner.is_alive()
    with system.wire() as wire:
        wire.connect(f"{name}-thief", thief)
        message = encoded(feature(f"{name}-somebody-else", inside(system.campus.boundary), clock()))
        acknowledged = sum(wire.publish(kind.topic, message) for _ in range(MESSAGES))
    said = {0: "let in", NO_ANSWER: "closed"}.get(code, f"refused ({code})")
    return Answer(
        "foreign-ids",
        f"a login with another user's client id, {MESSAGES} positions in the name of another device",
        [
            f"the login was {said}",
            f"the connection of whose id it is was {'kept' if kept else 'ended'}",
            f"{acknowledged} positions acknowledged",
            *system.changes(before, messages=MESSAGES),
        ],
    )
