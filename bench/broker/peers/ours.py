"""Our own node."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from bench.broker.connection import HOST
from bench.broker.peers.peer import ALWAYS, EVERY_SECOND, Peer, Place
from broker.settings import BrokerSettings

OURS = "ours"
OURS_FSYNCED = "ours, fsynced"


def ours() -> list[Peer]:
    """As a laptop runs it, and with DURABILITY=fsynced."""
    return [_ours(OURS, "accepted"), _ours(OURS_FSYNCED, "fsynced")]


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
        version=version("amqtt"),
        configuration=f"DURABILITY={durability}; Redis with appendfsync {'always' if fsynced else 'everysec'}. Each"
        " message is in the stream of Redis before it is acknowledged. The version is that of amqtt, beneath it.",
        missing="this node has no DURABILITY" if fsynced and "durability" not in known else None,
        environment=environment,
        websocket=True,
        redis=ALWAYS if fsynced else EVERY_SECOND,
    )
