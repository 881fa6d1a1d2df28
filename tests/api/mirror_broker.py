"""A broker node that mirrors can publish to, and what it retains."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import aiomqtt
from redis.asyncio import Redis

from tests.mqtt.servers import ROOT, OneNode, one_node

RETAINED = "retained:{mqtt}"

USER, PASSWORD = "the-mirror", "correct horse"


@dataclass(frozen=True, slots=True)
class Broker:
    """One node; `the-mirror` is a user with the role service."""

    node: OneNode

    @property
    def settings(self) -> dict[str, str]:
        """What tells a mirror of it."""
        host, port = self.node.mqtt
        return {
            "MIRROR": "true",
            "MIRROR_URL": f"mqtt://{host}:{port}",
            "MIRROR_USERNAME": USER,
            "MIRROR_PASSWORD": PASSWORD,
        }

    def client(self) -> aiomqtt.Client:
        """Somebody without a user."""
        host, port = self.node.mqtt
        return aiomqtt.Client(host, port, timeout=10)

    async def retained(self) -> set[str]:
        """The topics that hold something."""
        async with Redis.from_url(self.node.redis) as redis:
            topics = cast("list[bytes]", await cast("Any", redis.hkeys(RETAINED)))
        return {topic.decode() for topic in topics if topic.startswith(b"v1/")}


@contextmanager
def a_broker(folder: Path) -> Iterator[Broker]:
    with one_node(folder) as node:
        subprocess.run(
            [sys.executable, "-m", "broker", "users", "import", "-"],
            cwd=ROOT,
            input=f"{USER},service,{PASSWORD}\n".encode(),
            env={"REDIS_URL": node.redis, "DATA_DIR": str(folder)},
            check=True,
            capture_output=True,
        )
        yield Broker(node)
