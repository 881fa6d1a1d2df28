"""A snapshot by the replication protocol, from Redis as it is, and what is said where there is none."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from backup.rdb import RdbReader
from backup.redis_dump import dump
from core.errors import UnavailableError
from runtime.settings import CommonSettings
from state.client import open_redis
from state.server import masters
from tests.conftest import redis_executable
from tests.redis_servers.cluster import RedisCluster
from tests.redis_servers.process import RedisProcess, free_ports

NOISE = random.Random(2).randbytes(21_000)  # noqa: S311 - the same at every run
Starting = Callable[..., RedisProcess]


@pytest.fixture
async def starting(tmp_path: Path) -> AsyncIterator[Starting]:
    started: list[RedisProcess] = []

    def start(*settings: str) -> RedisProcess:
        process = RedisProcess(redis_executable(), tmp_path / f"{len(started)}", free_ports(1)[0], *settings)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


async def names(url: str) -> list[bytes]:
    async with open_redis(CommonSettings(redis_url=url)) as client:
        found = []
        for server in await masters(client):
            reader = RdbReader(values=False)
            async for data in dump(server):
                found += [key.name for key in reader.feed(data)]
            reader.end()
        return found


@pytest.mark.parametrize("diskless", ["yes", "no"])
async def test_it_comes_with_a_mark_at_its_end_or_with_its_length(starting: Starting, diskless: str) -> None:
    process = starting("--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0")
    process.command("SET", "a", "x" * 100_000)
    assert await names(f"redis://{process.address}") == [b"a"]
    # And again: whoever was asked once is no other.
    assert await names(f"redis://{process.address}") == [b"a"]


async def test_it_is_of_one_moment_however_much_is_written_meanwhile(starting: Starting) -> None:
    process = starting("--repl-diskless-sync-delay", "0")
    client = process.client()
    client.mset({f"key {index}": NOISE[index : index + 1000] for index in range(20_000)})
    async with open_redis(CommonSettings(redis_url=f"redis://{process.address}")) as ours:
        reader = RdbReader(values=False)
        count = later = 0
        async for data in dump(ours):
            if not later:
                client.mset({f"later {index}": "y" for index in range(1000)})
                client.delete("key 0")
            later += 1
            count += sum(not key.name.startswith(b"later") for key in reader.feed(data))
    assert later > 20
    assert count == 20_000
    client.close()


@pytest.mark.parametrize("diskless", ["yes", "no"])
async def test_what_is_written_meanwhile_is_not_kept_for_it(starting: Starting, diskless: str) -> None:
    """Else `client-output-buffer-limit replica` ends it, where much is written and little read."""
    settings = ("--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0")
    process = starting(*settings, "--client-output-buffer-limit", "replica 1mb 1mb 1")
    client = process.client()
    client.mset({f"key {index}": NOISE[:20_000] for index in range(1000)})
    async with open_redis(CommonSettings(redis_url=f"redis://{process.address}")) as ours:
        reader = RdbReader(values=False)
        count = 0
        wrote = False
        async for data in dump(ours):
            if not wrote:
                wrote = True
                for index in range(300):
                    client.set("later", NOISE[: 20_000 + index])
            count += sum(key.name != b"later" for key in reader.feed(data))
        reader.end()
    assert count == 1000
    client.close()


async def test_each_master_of_a_cluster_gives_its_own(cluster: RedisCluster) -> None:
    async with open_redis(CommonSettings(redis_url=cluster.url)) as client:
        await client.flushall()
        for index in range(60):
            await client.set(f"key:{{{index}}}", "v")
    assert sorted(await names(cluster.url)) == sorted(f"key:{{{index}}}".encode() for index in range(60))


async def test_a_user_who_may_not_copy_is_told_what_is_missing(starting: Starting) -> None:
    process = starting()
    process.command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all", "-psync", "-sync")
    with pytest.raises(UnavailableError, match=r"may not copy Redis: give it \+psync and \+replconf"):
        await names(f"redis://reader:secret@{process.address}")
    process.command("ACL", "SETUSER", "reader", "-replconf")
    with pytest.raises(UnavailableError, match=r"may not copy Redis: give it \+psync and \+replconf"):
        await names(f"redis://reader:secret@{process.address}")


async def test_one_who_may_do_nothing_else_can(starting: Starting) -> None:
    process = starting("--repl-diskless-sync-delay", "0")
    process.command("SET", "a", "b")
    rights = ("resetkeys", "-@all", "+psync", "+sync", "+replconf", "+hello", "+ping", "+select", "+info")
    process.command("ACL", "SETUSER", "backup", "on", ">secret", *rights)
    assert await names(f"redis://backup:secret@{process.address}") == [b"a"]


async def test_a_redis_that_dies_meanwhile_gives_no_whole_snapshot(starting: Starting) -> None:
    process = starting("--repl-diskless-sync-delay", "0")
    client = process.client()
    client.mset({f"key {index}": "x" * 10_000 for index in range(5000)})
    client.close()
    async with open_redis(CommonSettings(redis_url=f"redis://{process.address}")) as ours:

        async def kill_it_meanwhile() -> None:
            async for _ in dump(ours):
                process.kill()

        with pytest.raises(UnavailableError, match="broke its snapshot off"):
            await kill_it_meanwhile()


async def test_a_redis_that_is_away_is_said_to_be() -> None:
    with pytest.raises(UnavailableError):
        await names(f"redis://127.0.0.1:{free_ports(1)[0]}")


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ([b"+OK\r\n", b"-ERR unknown command\r\n"], "gives no snapshot: -ERR unknown command"),
        ([b"+OK\r\n", b"+FULLRESYNC x 0\r\n\n\n$EOF:short\r\n"], "did not say how its snapshot ends"),
        ([b"+OK\r\n", b"+FULLRESYNC x 0\r\n$100\r\nabc"], "broke its snapshot off"),
        ([b"+OK\r\n", b"+FULLRESYNC x 0\r\n-ERR cannot\r\n"], "gives no snapshot: -ERR cannot"),
        ([b"+OK\r\n", b""], "closed the connection before its snapshot began"),
    ],
)
async def test_other_answers_are_no_snapshot(answers: list[bytes], sentence: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                command = await reader.read(1000)
                if not command:
                    break
                # What a connection begins with has an answer for each command in it.
                is_ours = b"REPLCONF" in command or b"PSYNC" in command
                writer.write(answers[b"PSYNC" in command] if is_ours else b"+OK\r\n" * command.count(b"\r\nCLIENT\r\n"))
                await writer.drain()
                if b"PSYNC" in command:
                    break
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(UnavailableError, match=sentence):
            await names(f"redis://127.0.0.1:{port}?protocol=2")
