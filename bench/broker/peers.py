"""The brokers that are compared, and how each is started."""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.broker.connection import HOST
from broker.settings import BrokerSettings

ROOT = Path(__file__).parents[2]
NODE_PEERS = ROOT / "bench" / "node"
EVERY_SECOND = ("--appendonly", "yes", "--appendfsync", "everysec")
"""What a laptop run gives its Redis; the peers' is the same."""
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")

OURS = "ours"
OURS_FSYNCED = "ours, fsynced"
AEDES = "Aedes + Redis"
AEDES_KEPT = "Aedes + Redis, kept"
"""Aedes alone passes messages on to Redis, where nobody keeps them, unless a persistent session is to get them."""
MOSCA = "Mosca + Redis"
MOSQUITTO = "Mosquitto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one node of a peer is to run."""

    number: int
    """From 1."""
    port: int
    """For MQTT, on 127.0.0.1."""
    websocket_port: int
    """For MQTT over WebSocket, where the peer has it."""
    ops_port: int
    """For health and metrics, where the peer has them."""
    folder: Path
    redis_socket: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One broker."""

    name: str
    command: Callable[[Place], Sequence[str]]
    missing: str | None = None
    """Why it cannot run here."""
    environment: Callable[[Place], Mapping[str, str]] = field(default=lambda _: {})
    redis: Sequence[str] | None = EVERY_SECOND
    """Settings of the Redis that its nodes share; None: it has none, and its nodes know nothing of each other."""
    websocket: bool = False
    """Whether it listens at the port for WebSocket."""
    keeps: bool = False
    """Whether a persistent session waits for the messages, so that they are stored; only for acknowledgements."""


def all_peers() -> list[Peer]:
    """Ours first, then those that it is to leave behind, then the one to reach."""
    return [
        _ours(OURS, "accepted"),
        _ours(OURS_FSYNCED, "fsynced"),
        _aedes(AEDES),
        _aedes(AEDES_KEPT),
        _mosca(),
        _mosquitto(),
    ]


def profiled(peer: Peer, profile: Path) -> Peer:
    """Our node under cProfile, which writes `profile` when the node ends."""
    under = [sys.executable, "-m", "cProfile", "-o", str(profile), "-m", "broker"]
    return replace(peer, command=lambda _: under)


def _ours(name: str, durability: str) -> Peer:
    # Settings are looked up, so that this also measures a node of an earlier commit.
    known = BrokerSettings.model_fields
    fsynced = durability == "fsynced"

    def environment(place: Place) -> Mapping[str, str]:
        return {
            "BROKER_NODE": f"bench-{place.number}",
            "BROKER_HOST": HOST,
            "BROKER_PORT": str(place.port),
            "BROKER_WS_PORT": str(place.websocket_port),
            "OPS_HOST": HOST,
            "OPS_PORT": str(place.ops_port),
            "DATA_DIR": str(place.folder),
            "DURABILITY": durability,
            "MQTT_ALLOW_ANONYMOUS": "true",
            # As it was when the figures of decision 9 were measured.
            "INBOX_MAX_BYTES": "33554432",
            "REDIS_URL": f"unix://{place.redis_socket}",
        }

    return Peer(
        name=name,
        command=lambda _: [sys.executable, "-m", "broker"],
        missing="this node has no DURABILITY" if fsynced and "durability" not in known else None,
        environment=environment,
        websocket=True,
        redis=ALWAYS if fsynced else EVERY_SECOND,
    )


def _aedes(name: str) -> Peer:
    return _node_peer(name, "aedes", "aedes.mjs")


def _mosca() -> Peer:
    return _node_peer(MOSCA, "mosca", "mosca.cjs")


def _node_peer(name: str, package: str, script: str) -> Peer:
    node = shutil.which("node")
    missing = None
    if not node:
        missing = "Node.js is missing"
    elif not (NODE_PEERS / "node_modules" / package).is_dir():
        missing = "not installed: npm ci --ignore-scripts --prefix bench/node"
    return Peer(
        name=name,
        command=lambda place: [str(node), str(NODE_PEERS / script), str(place.port), str(place.redis_socket)],
        missing=missing,
        keeps=name == AEDES_KEPT,
    )


def _mosquitto() -> Peer:
    # Debian puts it where only root's PATH leads.
    executable = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")

    def command(place: Place) -> list[str]:
        config = place.folder / f"mosquitto-{place.number}.conf"
        config.write_text(
            f"listener {place.port} {HOST}\nlistener {place.websocket_port} {HOST}\nprotocol websockets\n"
            "allow_anonymous true\nlog_type error\n",
            encoding="utf-8",
        )
        return [str(executable), "-c", str(config)]

    return Peer(
        name=MOSQUITTO,
        command=command,
        missing=None if executable else "not installed: Debian's mosquitto",
        redis=None,
        websocket=True,
    )
