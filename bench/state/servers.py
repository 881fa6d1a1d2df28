"""The Redis that is measured: one, or the three masters of a cluster."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import redis
from redis.crc import key_slot

from bench.servers import redis_server
from state.slots import SLOTS, tag
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

    def keys(self, name: str) -> list[str]:
        """The key of that name in each partition, such as `raw:{0}`: to look for them would cost Redis time."""
        return [f"{name}:{tag(partition, self.partitions)}" for partition in range(self.partitions)]

    def count(self, command: str, *keys: str) -> int:
        """Sum of a command's answers (XLEN, ZCARD) for some keys."""
        return sum(cast("int", self._master_of(key).execute_command(command, key)) for key in keys)

    def on_all(self, keys: list[str], *command: str) -> None:
        """Give a command to each of some keys; the key comes after its first word."""
        for key in keys:
            self._master_of(key).execute_command(command[0], key, *command[1:])

    def remove(self, beginnings: tuple[str, ...]) -> None:
        """Remove all keys that begin so."""
        for master in self.masters:
            found = [key for key in _texts(master.scan_iter(count=10_000)) if key.startswith(beginnings)]
            for first in range(0, len(found), 1000):
                master.delete(*found[first : first + 1000])

    def _master_of(self, key: str) -> Any:  # noqa: ANN401 - redis-py has no types for commands that are given as texts
        # The masters have the slots in their order, as tests.redis_servers.cluster gives them.
        slot, count = key_slot(key.encode()), len(self.masters)
        return next(master for number, master in enumerate(self.masters, 1) if slot < SLOTS * number // count)


def _texts(keys: Iterable[bytes | str]) -> Iterator[str]:
    """Keys as texts: the clients of a cluster's members have made them that."""
    return (key.decode() if isinstance(key, bytes) else key for key in keys)


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
