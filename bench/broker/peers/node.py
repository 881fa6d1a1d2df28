"""Aedes and Mosca, brokers for Node.js, each with its persistence and its emitter on Redis."""

import json
import shutil

from bench.broker.peers.peer import ROOT, Peer

PACKAGES = ROOT / "bench" / "node"
AEDES = "Aedes + Redis"
AEDES_KEPT = "Aedes + Redis, kept"
"""Aedes alone passes messages on to Redis, where nobody keeps them, unless a persistent session is to get them."""
MOSCA = "Mosca + Redis"


def aedes() -> list[Peer]:
    """As its README puts it onto Redis, and the same with a session that waits for all messages."""
    said = (
        "mqemitter-redis and aedes-persistence-redis, as the README of Aedes has them; Redis with appendfsync everysec."
    )
    return [
        _peer(AEDES, "aedes", "aedes.mjs", f"{said} Nothing is stored where no session waits."),
        _peer(AEDES_KEPT, "aedes", "aedes.mjs", f"{said} A persistent session waits for all messages.", keeps=True),
    ]


def mosca() -> list[Peer]:
    """As the original design had it."""
    said = "Ascoltatore and persistence on Redis, as the wiki of Mosca has them; Redis with appendfsync everysec."
    return [_peer(MOSCA, "mosca", "mosca.cjs", said)]


def _peer(name: str, package: str, script: str, configuration: str, *, keeps: bool = False) -> Peer:
    node = shutil.which("node")
    missing = None
    if not node:
        missing = "Node.js is missing"
    elif not (PACKAGES / "node_modules" / package).is_dir():
        missing = "not installed: npm ci --ignore-scripts --prefix bench/node"
    return Peer(
        name=name,
        command=lambda place: [str(node), str(PACKAGES / script), str(place.port), str(place.redis_socket)],
        version=_version(package),
        configuration=configuration,
        missing=missing,
        keeps=keeps,
    )


def _version(package: str) -> str:
    locked = json.loads((PACKAGES / "package-lock.json").read_text(encoding="utf-8"))
    return str(locked["packages"][f"node_modules/{package}"]["version"])
