"""What those do with Redis whose rights follow from no module: by its own commands, as each of them says them."""

import asyncio
from typing import Any

from redis.asyncio.connection import Connection, UnixDomainSocketConnection
from redis.exceptions import NoPermissionError, ResponseError

from backup.erasures import Erasures
from backup.rdb_checksum import crc64
from backup.redis_dump import dump
from core.kinds import DEFAULT_KINDS
from decoder.devices import DeviceHasher
from state import restoring
from state.client import Redis
from state.cluster import ClusterClient
from state.layout import is_of_the_version_before
from state.server import masters
from state.upgrade.run import Migration
from tests.conftest import NOON

LATE = 4_102_444_800_000  # 2100-01-01T00:00:00Z
NAME = "redis/20260301T120000Z-0001"


async def saying(client: Redis, *commands: str) -> list[Any]:
    """What each server says to commands of a client that says nothing of itself; errors of other kinds are answers."""
    answers = []
    for server in await masters(client):
        given = server.connection_pool.connection_kwargs
        known = {name: given[name] for name in ("host", "port", "path", "username", "password") if name in given}
        kind = UnixDomainSocketConnection if "path" in known else Connection
        connection = kind(**known, protocol=2, driver_info=None)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's own
            for command in commands:
                await connection.send_command(*command.split())
                try:
                    answers.append(await (_line(connection) if "PSYNC" in command else connection.read_response()))
                except NoPermissionError:
                    raise
                except ResponseError as error:
                    answers.append(error)
        finally:
            await connection.disconnect(nowait=True)
    return answers


async def _line(connection: Any) -> bytes:  # noqa: ANN401 - redis-py's own
    """What Redis says to a replica, behind empty lines by which it says that it is there."""
    async with asyncio.timeout(30):
        while not (line := (await connection._reader.readline()).strip()):
            pass
    return bytes(line)


async def health(client: Redis, partitions: int) -> None:
    del partitions
    assert set(await saying(client, "PING")) == {b"PONG"}


async def exporter(client: Redis, partitions: int) -> None:
    """As prometheus-redis-exporter asks."""
    del partitions
    words = ("CLIENT SETNAME redis_exporter", "PING", "INFO ALL", "SLOWLOG LEN", "LATENCY LATEST", "CLUSTER INFO")
    await saying(client, *words)


async def keda(client: Redis, partitions: int) -> None:
    await saying(client, "PING", "CLUSTER SLOTS", "CLUSTER INFO", "CLUSTER NODES", "READONLY")
    await saying(client, *(f"XLEN raw:{{{partition}}}" for partition in range(partitions)))


async def backup(client: Redis, partitions: int) -> None:
    del partitions
    assert await restoring.marked(client) is None
    for server in await masters(client):
        assert [data async for data in dump(server)]


async def replica(client: Redis, partitions: int) -> None:
    del partitions
    said = await saying(client, "PING", "REPLCONF listening-port 1", "REPLCONF capa eof capa psync2", "PSYNC ? -1")
    assert said[-1].startswith(b"+FULLRESYNC")


async def cluster(client: Redis, partitions: int) -> None:
    """As redis-cli --cluster create looks; what it changes is with a cluster of its own in tests/deploy."""
    del partitions
    await saying(client, "PING", "CLUSTER INFO", "CLUSTER NODES", "INFO")


async def sentinel(client: Redis, partitions: int) -> None:
    """As Sentinels watch, and promote."""
    del partitions
    await saying(
        client,
        *("PING", "INFO", "ROLE", "PUBLISH __sentinel__:hello here", "CLIENT SETNAME sentinel", "SCRIPT KILL"),
        *("MULTI", "CONFIG REWRITE", "CLIENT KILL ID 999999", "EXEC", "SUBSCRIBE __sentinel__:hello"),
    )


async def migrate(client: Redis, partitions: int) -> None:
    """Restores a backup, and brings the data of the version before: all that was there is gone."""
    key = b"newest:{0}:d"
    await client.set(key, "x" * 3_000_000)
    dumped = await client.dump(key)
    assert dumped is not None
    assert await restoring.marked(client) is None
    await restoring.empty(client, NAME)
    assert await restoring.takes_at_once(client) == 536_870_912
    await restoring.mark(client, NAME)
    small = b"\x00\xc0\x01" + dumped[-10:-8]  # the number 1, and the version of the format
    small += crc64(small).to_bytes(8, "little")
    await restoring.put(client, [(key, 0, bytearray(dumped)), (b"totals:{0}", LATE, small)])
    assert await client.strlen(key.decode()) == 3_000_000
    erasures = Erasures(DeviceHasher(b"k" * 32), ["phone"], DEFAULT_KINDS.ids)
    assert await restoring.partitions(client) is None
    await erasures.repeat(None, client, partitions=partitions, now=NOON)
    await restoring.finish(client)
    assert await restoring.keys_there(client) == 2
    if isinstance(client, ClusterClient):
        return  # what is brought to one comes from elsewhere, by the same commands
    await client.flushdb()
    await client.hset("users", "ann", "{}")
    assert await is_of_the_version_before(client)
    migration = Migration(source=client, target=client, partitions=partitions, shift_ms=0, clock=lambda: NOON)
    await migration.run(await migration.look(), lambda *_: None)
    assert await client.hgetall("users:{mqtt}") == {b"ann": b"{}"}
