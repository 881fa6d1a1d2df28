"""mochi-mqtt, a broker in Go, with its Redis hook."""

from bench.broker.peers.peer import Peer, built, not_built, version_in

MOCHI = "mochi-mqtt + Redis"
MOCHI_KEPT = "mochi-mqtt + Redis, kept"
_SAID = (
    "Its Redis hook over a socket, as examples/persistence/redis of its repository; Redis with appendfsync everysec."
    " The hook keeps sessions, retained messages and what a session has not acknowledged; nodes do not know each other."
)


def mochi() -> list[Peer]:
    """With its hook, and the same with a session that waits for all messages."""
    executable = built("mochi")
    return [
        Peer(
            name=name,
            command=lambda place: [str(executable), str(place.port), str(place.redis_socket)],
            version=version_in("mochi/go.mod", r"server/v2 v(\S+)"),
            configuration=configuration,
            missing=not_built("mochi", executable),
            shares=False,
            keeps=keeps,
        )
        for name, configuration, keeps in (
            (MOCHI, _SAID, False),
            (
                MOCHI_KEPT,
                f"{_SAID} A persistent session waits; it keeps 8,192 messages, and drops the rest.",
                True,
            ),
        )
    ]
