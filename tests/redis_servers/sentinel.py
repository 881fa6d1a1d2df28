"""A primary with two replicas, and three sentinels that make another one the primary when it is gone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import redis

from tests.redis_servers.process import HOST, RedisProcess, free_ports, until

SERVICE = "campus"
DOWN_AFTER_MS = 1000
"""After which a primary that does not answer is taken for dead; in a campus it is some seconds."""
_SETTINGS = (
    *("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
    *("--replica-priority", "100"),
)


class SentinelSet:
    """Six processes. Who is the primary changes when it is killed; `primary` says who is now."""

    def __init__(self, executable: str, folder: Path, *settings: str, down_after_ms: int = DOWN_AFTER_MS) -> None:
        """`settings` are further arguments of the primary and the replicas."""
        ports = free_ports(6)
        self.servers = [
            RedisProcess(executable, folder / f"redis-{number}", port, *_SETTINGS, *settings)
            for number, port in enumerate(ports[:3])
        ]
        ids = [uuid4().hex + "0" * 8 for _ in range(3)]
        known = list(zip(ids, ports[3:], strict=True))
        self.sentinels = [
            RedisProcess(
                executable,
                folder / f"sentinel-{number}",
                port,
                "--sentinel",
                config=_config(folder / f"sentinel-{number}", number, known, ports[:3], down_after_ms),
            )
            for number, port in enumerate(ports[3:])
        ]

    @property
    def url(self) -> str:
        """Its address: the sentinels, and the name of the service."""
        return f"redis+sentinel://{','.join(sentinel.address for sentinel in self.sentinels)}/{SERVICE}"

    @property
    def primary(self) -> RedisProcess:
        """The server that most sentinels name; it may be dead, while they have not noticed."""

        def named() -> RedisProcess | None:
            ports = [port for sentinel in self.sentinels if (port := _named_by(sentinel)) is not None]
            most = max(ports, key=ports.count, default=None)
            agreed = most is not None and 2 * ports.count(most) > len(self.sentinels)
            return next(server for server in self.servers if server.port == most) if agreed else None

        found = until(named, "most sentinels name a primary")
        assert found is not None
        return found

    def start(self) -> None:
        """Return once all six are well."""
        for server in self.servers:
            server.start()
        for server in self.servers[1:]:
            server.command("REPLICAOF", HOST, self.servers[0].port)
        for sentinel in self.sentinels:
            sentinel.start()
        self.until_well()

    def stop(self) -> None:
        """End all of them, without a word to anybody."""
        for process in (*self.sentinels, *self.servers):
            process.kill()

    def is_well(self) -> bool:
        """Whether all run, and follow the one that all sentinels name."""
        if not all(process.is_up for process in (*self.sentinels, *self.servers)):
            return False
        named = {_named_by(sentinel) for sentinel in self.sentinels}
        try:
            primaries = [each for each in self.servers if each.info("replication")["role"] == "master"]
            if len(primaries) != 1 or named != {primaries[0].port}:
                return False
            replicas = [each.info("replication") for each in self.servers if each is not primaries[0]]
        except redis.RedisError:
            return False
        return all(
            each.get("master_port") == str(primaries[0].port) and each.get("master_link_status") == "up"
            for each in replicas
        )

    def until_well(self) -> None:
        """Wait until it is; fails with what the sentinels say."""
        try:
            until(self.is_well, "the primary, its replicas and the sentinels are well", limit=60)
        except AssertionError as error:
            told = [f"{each.address}:\n{each.told()[-600:]}" for each in (*self.servers, *self.sentinels)]
            raise AssertionError("\n".join([str(error), *told])) from error

    def reset(self) -> None:
        """For the next test: all run and follow the primary, and there is no key."""
        self.heal()
        self.primary.command("FLUSHALL")

    def heal(self) -> None:
        """Start again who was killed, let go on who was paused, and wait until all follow the primary."""
        for process in (*self.servers, *self.sentinels):
            if process.is_running:
                process.resume()
            else:
                process.start()
        primary = self.primary
        for server in self.servers:
            if server is not primary:
                # A sentinel would say so, too, after ten seconds.
                server.command("REPLICAOF", HOST, primary.port)
        self.until_well()

    def kill_primary(self) -> RedisProcess:
        """End the primary with SIGKILL; who it was, for `start`."""
        primary = self.primary
        primary.kill()
        return primary

    def until_taken_over(self, gone: RedisProcess) -> None:
        """Wait until the sentinels name another primary than `gone`, and that is one."""

        def taken_over() -> bool:
            primary = self.primary
            try:
                return primary is not gone and primary.info("replication")["role"] == "master"
            except redis.RedisError:
                return False

        until(taken_over, f"another takes over from {gone.address}")


def _named_by(sentinel: RedisProcess) -> int | None:
    """The port of the primary that a sentinel names; None where it does not answer."""
    if not sentinel.is_up:
        return None
    try:
        # Not by the command of its own: that has another form in each version of redis-py.
        with sentinel.client() as client:
            return int(client.sentinel_master(SERVICE)["port"])
    except (redis.RedisError, TypeError):
        return None


def _config(folder: Path, number: int, known: list[tuple[str, int]], servers: list[int], down_after_ms: int) -> str:
    """What a sentinel begins with. It would find the others and the replicas by itself, in ten seconds or so."""
    primary, *replicas = servers
    lines = [
        f"port {known[number][1]}",
        f"bind {HOST}",
        f"dir {folder}",
        f"logfile {folder / 'redis.log'}",
        f"sentinel myid {known[number][0]}",
        f"sentinel monitor {SERVICE} {HOST} {primary} 2",
        f"sentinel down-after-milliseconds {SERVICE} {down_after_ms}",
        f"sentinel failover-timeout {SERVICE} {5 * down_after_ms}",
        *(f"sentinel known-replica {SERVICE} {HOST} {port}" for port in replicas),
        *(
            f"sentinel known-sentinel {SERVICE} {HOST} {port} {sentinel}"
            for other, (sentinel, port) in enumerate(known)
            if other != number
        ),
    ]
    return "\n".join([*lines, ""])


@contextmanager
def sentinel_set(executable: str, *settings: str, down_after_ms: int = DOWN_AFTER_MS) -> Iterator[SentinelSet]:
    """A running set; it ends with the context."""
    with TemporaryDirectory(prefix="campus-sentinel-") as folder:
        found = SentinelSet(executable, Path(folder), *settings, down_after_ms=down_after_ms)
        try:
            found.start()
            yield found
        finally:
            found.stop()
