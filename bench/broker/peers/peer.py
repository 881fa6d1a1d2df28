"""What a broker is to the benchmark: a command, a configuration, and what it keeps."""

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
BUILD = ROOT / "bench" / "peers" / "build"
EVERY_SECOND = ("--appendonly", "yes", "--appendfsync", "everysec")
"""What a laptop run gives its Redis; the peers' is the same."""
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


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
    version: str
    """Of the broker; empty where it is not there."""
    configuration: str
    """How it is set up, and by whose advice, in a sentence or two: for whoever reads the figures."""
    missing: str | None = None
    """Why it cannot run here."""
    environment: Callable[[Place], Mapping[str, str]] = field(default=lambda _: {})
    redis: Sequence[str] | None = EVERY_SECOND
    """Settings of the Redis of its nodes; None: it has none."""
    shares: bool = True
    """Whether its nodes pass messages on to one another."""
    websocket: bool = False
    """Whether it listens at the port for WebSocket."""
    keeps: bool = False
    """Whether a persistent session waits for the messages, so that they are stored; only for acknowledgements."""
    start_seconds: float = 30.0
    """It has so long to accept a connection."""


def built(name: str) -> Path:
    """Where `bench/peers/build` puts what it builds, whether it is there or not."""
    where = subprocess.run([BUILD, "--where", name], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return Path(where.stdout.strip())


def not_built(name: str, file: Path) -> str | None:
    """Why a peer that is built from source cannot run; None where it can."""
    return None if file.exists() else f"not built: bench/peers/build {name}"


def version_in(file: str, pattern: str) -> str:
    """The version that a file below bench/peers names: the first group of `pattern`."""
    found = re.search(pattern, (BUILD.parent / file).read_text(encoding="utf-8"))
    if not found:
        raise ValueError(f"bench/peers/{file} names no version: {pattern}")
    return found[1]
