"""A subscriber that does not read what it has asked for."""

from core.clock import Clock
from core.kinds import Role
from simulator.login import Login
from simulator.misbehaviour.answer import Answer
from simulator.misbehaviour.system import System

MESSAGE_BYTES = 60_000
MESSAGES = 400
"""24 MB: more than is kept for a reader (MQTT_SLOW_CONSUMER_BYTES) and for a connection on its way."""
RECEIVE_BYTES = 4096


def slow(system: System, name: str, _clock: Clock) -> Answer:
    """It subscribes, and never reads; somebody else publishes, and another reader keeps up."""
    before = system.figures()
    login, topic = system.users.get(Role.SERVICE.name, Login()), f"{name}/slow"
    with system.wire(receive_bytes=RECEIVE_BYTES) as lazy, system.wire() as writer:
        lazy.connect(f"{name}-lazy", login)
        writer.connect(f"{name}-writer", login)
        granted = lazy.subscribe(topic)
        acknowledged = sum(writer.publish(topic, b"x" * MESSAGE_BYTES) for _ in range(MESSAGES))
        ended = lazy.is_closed()
        alive = writer.is_alive()
    return Answer(
        "slow",
        f"{MESSAGES} messages of {MESSAGE_BYTES:,} bytes for a subscriber that reads none",
        [
            "the subscription was granted" if granted else "the subscription was refused",
            f"{acknowledged} acknowledged to who published, whose connection is {'up' if alive else 'closed'}",
            f"the subscriber's connection was {'ended' if ended else 'kept'}",
            *system.changes(before, messages=0),
        ],
    )
