"""The Redis that is measured: one, or the three masters of a cluster."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import redis

from bench.servers import redis_server
from tests.redis_servers.cluster import redis_cluster
from tests.redis_servers.executables import redis_executable

PARTITIONS_OF_A_CLUSTER = 12
"""So that each of three masters has four of them, whichever they are."""


class Measured:
    """Running servers."""

    def __init__(self, url: str, masters: list[redis.Redis]) -> None:
        self.url = url
        self.masters = masters
        self.partitions = 1 if len(masters) == 1 else PARTITIONS_OF_A_CLUSTER

    @property
    def cpu_seconds(self) -> list[float]:
        """Processor time of each master, without that of children."""
        told = [master.info("cpu") for master in self.masters]
        return [each["used_cpu_user"] + each["used_cpu_sys"] for each in told]

    @property
    def memory_bytes(self) -> int:
        """What all masters use."""
        return sum(int(master.info("memory")["used_memory"]) for master in self.masters)

    def count(self, pattern: str, command: str) -> int:
        """Sum of a command's answers (XLEN, ZCARD) for all keys like `pattern`."""
        return sum(
            int(cast("Any", master).execute_command(command, key))
            for master in self.masters
            for key in cast("Any", master.scan_iter(pattern, count=10_000))
        )

    def on_all(self, pattern: str, *command: str) -> None:
        """Give a command to each key like `pattern`; the key comes after its first word."""
        for master in self.masters:
            for key in cast("Any", master.scan_iter(pattern, count=10_000)):
                cast("Any", master).execute_command(command[0], key, *command[1:])

    def empty(self) -> None:
        """Remove all keys."""
        for master in self.masters:
            master.flushall()


@contextmanager
def servers(masters: int, folder: Path, *settings: str) -> Iterator[Measured]:
    """One Redis, or a cluster of so many masters (3), each with further `settings`."""
    with ExitStack() as stack:
        if masters == 1:
            url = stack.enter_context(redis_server(folder, *settings))
            clients = [redis.Redis.from_url(url)]
        else:
            cluster = stack.enter_context(redis_cluster(redis_executable(), *settings, replicas=False))
            url = cluster.url
            clients = [member.client() for member in cluster.members]
        try:
            yield Measured(url, clients)
        finally:
            for client in clients:
                client.close()
