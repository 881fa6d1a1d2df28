import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis.asyncio import Redis

from broker.protocol.message import Message
from core.errors import UnavailableError
from runtime.retry import until_available
from runtime.settings import CommonSettings
from state.client import open_redis
from tests.broker.cluster.conftest import Start, delivered, is_well
from tests.conftest import WAIT_SECONDS, eventually, redis_executable
from tests.watchdog import watched


class Server:
    """A Redis that keeps all that it has answered, and can be killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"unix://{folder / 'redis.sock'}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            redis_executable(),
            *("--port", "0", "--unixsocket", str(self._folder / "redis.sock"), "--dir", str(self._folder)),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
        ]
        self._process = watched(subprocess.Popen(command, stdout=subprocess.DEVNULL))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def server() -> Iterator[Server]:
    with TemporaryDirectory(prefix="campus-redis-") as folder:
        server = Server(Path(folder))
        server.start()
        yield server
        server.kill()


@pytest.fixture
async def service_redis(server: Server) -> AsyncIterator[Redis]:
    async with open_redis(CommonSettings(redis_url=server.url)) as client:

        async def answers() -> bool:
            with suppress(OSError, Exception):
                return bool(await client.ping())
            return False

        await eventually(answers)
        yield client


async def test_a_restarted_redis_has_lost_nothing_and_nodes_go_on(start: Start, server: Server) -> None:
    here, there = await start("a"), await start("b")
    names = here.cluster.node, there.cluster.node
    await here.want("x")
    await here.connect("c", 1)
    await here.subscribe("c", 1, "x")
    await there.publish("x", b"1")
    server.kill()
    waiting = asyncio.create_task(there.publish("x", b"2", b"3"))
    with pytest.raises(UnavailableError):
        await here.cluster.sessions.load("c", 1, after=0, count=10)
    with pytest.raises(UnavailableError):
        await here.cluster.sessions.acknowledge("c", 1)
    with pytest.raises(UnavailableError):
        await here.cluster.retained.matching(["#"])
    with pytest.raises(UnavailableError):
        await there.cluster.publisher.publish_will(here.cluster.node, 1)

    async def noticed() -> bool:
        return bool(here.cluster.problem and there.cluster.problem and there.cluster.publisher.problem)

    await eventually(noticed)
    assert not waiting.done()
    server.start()
    assert await waiting == [True, True]
    assert await delivered(here, 3) == [b"1", b"2", b"3"]
    assert await here.load("c", 1) == [b"1", b"2", b"3"]
    await eventually(is_well(here))
    await eventually(is_well(there))
    assert (here.cluster.node, there.cluster.node) == names
    assert here.local.times_fenced == there.local.times_fenced == 0


async def test_messages_come_once_and_in_order_whenever_redis_is_killed(start: Start, server: Server) -> None:
    here, there = await start("a"), await start("b")
    await here.want("x")
    await here.connect("c", 1)
    await here.subscribe("c", 1, "x")
    payloads = [str(number).encode() for number in range(300)]
    now = asyncio.Event()

    async def publish() -> None:
        for first in range(0, 300, 5):
            if first % 60 == 30:
                now.set()
            await there.publish("x", *payloads[first : first + 5])

    publishing = asyncio.create_task(publish())
    for _ in range(5):
        await now.wait()
        now.clear()
        server.kill()
        server.start()
    await publishing
    assert await until_available(lambda: here.load("c", 1, count=1000)) == payloads
    assert await delivered(here, 300) == payloads


async def test_a_node_that_leaves_while_redis_is_away_does_not_wait_for_it(
    start: Start, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.cluster.cluster.LEAVE_SECONDS", 0.3)
    node = await start("a")
    await node.connect("c", 1, will=Message("will", b"1", 1))
    server.kill()
    async with asyncio.timeout(WAIT_SECONDS):
        await node.leave()
