"""HiveMQ Community Edition, a broker in Java."""

import shutil
from collections.abc import Callable, Sequence

from bench.broker.peers.peer import Peer, Place, built, not_built, version_in

HIVEMQ = "HiveMQ CE"
HIVEMQ_KEPT = "HiveMQ CE, kept"
_SAID = (
    "Embedded, with its defaults: sessions and what waits for them in files of its own. An extension lets everybody in;"
    " usage statistics are off; 10,000,000 messages may wait for a session instead of 1,000, for it drops the rest. The"
    " Community Edition has no cluster."
)


def hivemq() -> list[Peer]:
    """With its defaults, and the same with a session that waits for all messages."""
    jars = built("hivemq")
    java = shutil.which("java")

    def named(name: str) -> Callable[[Place], Sequence[str]]:
        classes = f"{jars}:{jars}/*"
        return lambda place: [
            str(java),
            "-cp",
            classes,
            "Broker",
            str(place.port),
            str(place.folder / f"hivemq-{name}"),
        ]

    return [
        Peer(
            name=name,
            command=named("kept" if keeps else "plain"),
            version=version_in("hivemq/pom.xml", r"embedded</artifactId>\s*<version>([^<]+)"),
            configuration=configuration,
            missing=not_built("hivemq", jars) if java else "Java is missing",
            redis=None,
            shares=False,
            keeps=keeps,
            # Some 10 s alone.
            start_seconds=120.0,
        )
        for name, configuration, keeps in (
            (HIVEMQ, _SAID, False),
            (HIVEMQ_KEPT, f"{_SAID} A persistent session waits for all messages.", True),
        )
    ]
