"""10,000 bytes of any garbage cost their own connection and no more: a good client goes on, and so does the node."""

import asyncio
import itertools
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

import httpx
import pytest

from tests.broker.frames import request
from tests.conftest import WAIT_SECONDS, missing
from tests.fuzz.garbage import KINDS, WEBSOCKET_KINDS, Kinds
from tests.mqtt.client import Connection, Service
from tests.mqtt.servers import Address, OneNode, one_node
from tests.mqtt.wire import Kind, connect, publish, subscribe

CONNECT_SECONDS = 2.0
CLOSED_SECONDS = 40.0
"""The time to CONNECT, one and a half keepalives, and what closing takes, on a busy machine."""
AT_ONCE = 10
MAX_GROWTH_BYTES = 32 * 1024 * 1024


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNode]:
    """A node that is given nothing but garbage."""
    with one_node(tmp_path_factory.mktemp("hostile"), MQTT_CONNECT_TIMEOUT=str(CONNECT_SECONDS)) as node:
        yield node


@pytest.fixture
async def unharmed(hostile: OneNode) -> AsyncIterator[OneNode]:
    """The node; afterwards it must be as well as before, and a good client must have noticed nothing."""
    async with publishing(hostile):
        yield hostile
    async with httpx.AsyncClient(trust_env=False) as client:
        ready = await client.get(f"{hostile.ops}/readyz")
        assert ready.status_code == httpx.codes.OK, ready.text
        metrics = (await client.get(f"{hostile.ops}/metrics")).text
    assert 'broker_refused_total{reason="defect"} 0.0' in metrics
    log = await asyncio.to_thread(hostile.log.read_text)
    for sign in ("defect", "Traceback", "never retrieved", "never awaited", "Fatal error"):
        assert sign not in log, log[-3000:]


@asynccontextmanager
async def publishing(node: OneNode) -> AsyncIterator[None]:
    """A client that publishes with QoS 1 all the while, each message after the acknowledgement of the one before."""
    service = Service([node.mqtt])
    client = await service.dial()
    await client.send(connect(f"good{service.prefix}", keepalive=60))
    await client.receive()
    done = asyncio.Event()

    async def publish_on() -> int:
        count = 0
        while not done.is_set():
            count += 1
            async with asyncio.timeout(WAIT_SECONDS):
                await _acknowledged(client, count)
            await asyncio.sleep(0.01)
        return count

    working = asyncio.create_task(publish_on())
    try:
        yield
    finally:
        done.set()
        count = await working
        service.drop_all()
    assert count > 1


async def _acknowledged(client: Connection, number: int) -> None:
    packet_id = number % 65_535 + 1
    await client.send(publish("car-iotp/good", str(number).encode(), qos=1, packet_id=packet_id))
    await client.acknowledged(Kind.PUBACK, packet_id)


def resident_bytes(node: OneNode) -> int:
    """What the node's process has of the machine's memory."""
    statm = Path(f"/proc/{node.pid}/statm")
    if not statm.exists():
        missing("/proc", "run this on Linux")
    return int(statm.read_text().split()[1]) * resource.getpagesize()


async def send_and_wait(address: Address, name: str, data: bytes, *, pieces: int) -> None:
    """Send garbage, and wait until the node has closed the connection; fails where it keeps it."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        size = -(-len(data) // pieces)
        with suppress(ConnectionError):
            async with asyncio.timeout(CLOSED_SECONDS):
                for start in range(0, len(data), size):
                    writer.write(data[start : start + size])
                    await writer.drain()
                    await asyncio.sleep(0)
                while await reader.read(65_536):
                    pass
    except TimeoutError:
        raise AssertionError(f"{name}: still open after {CLOSED_SECONDS} s") from None
    finally:
        writer.transport.abort()


async def send_all(address: Address, kinds: Kinds, seed: int) -> None:
    """Many connections of each kind, all at the same time."""
    async with asyncio.TaskGroup() as group:
        for number, (name, kind) in enumerate(kinds.items()):
            for each in range(AT_ONCE):
                data = kind(Random(f"{seed} {number} {each}"))  # noqa: S311 - the same garbage each time
                group.create_task(send_and_wait(address, name, data, pieces=(1, 3, 50)[each % 3]))


@pytest.mark.parametrize("seed", [1, 2])
async def test_garbage_costs_its_own_connection(unharmed: OneNode, seed: int) -> None:
    await send_all(unharmed.mqtt, KINDS, seed)


@pytest.mark.parametrize("seed", [1, 2])
async def test_garbage_over_websocket_costs_its_own_connection(unharmed: OneNode, seed: int) -> None:
    await send_all(unharmed.websocket, WEBSOCKET_KINDS, seed)


@pytest.mark.parametrize("beginning", [b"", connect("slow")[:1], connect("slow")[:-1], request()[:-1], request()])
async def test_whoever_dawdles_is_cut_off(unharmed: OneNode, beginning: bytes) -> None:
    """Also over the other protocol's port: what it says there is as slow."""

    async def dawdle(address: Address) -> None:
        reader, writer = await asyncio.open_connection(*address)
        closed = asyncio.create_task(reader.read())
        try:
            async with asyncio.timeout(CLOSED_SECONDS):
                # The beginning as slowly as can be, and then nothing more.
                slowly = iter(beginning)
                while not closed.done():
                    writer.write(bytes(itertools.islice(slowly, 1)))
                    await asyncio.wait([closed], timeout=0.05)
            with suppress(ConnectionError):
                await closed
        finally:
            closed.cancel()
            writer.transport.abort()

    await asyncio.gather(*(dawdle(address) for address in (unharmed.mqtt, unharmed.websocket) for _ in range(5)))


async def test_a_client_that_reads_nothing_is_cut_off_or_waits_without_costing_memory(unharmed: OneNode) -> None:
    before = resident_bytes(unharmed)
    # It is sent its own messages back, and takes none of them.
    flood = b"".join(publish("deaf", b"x" * 1000) for _ in range(1000))
    reader, writer = await asyncio.open_connection(*unharmed.mqtt, limit=1)
    try:
        writer.write(connect("deaf", keepalive=1) + subscribe(1, ("#", 0)))
        with suppress(ConnectionError, TimeoutError):
            for _ in range(20):
                writer.write(flood)
                async with asyncio.timeout(3):
                    await writer.drain()
        assert resident_bytes(unharmed) - before < MAX_GROWTH_BYTES
        assert not reader.at_eof()
    finally:
        writer.transport.abort()


async def test_what_garbage_took_of_memory_is_given_back(unharmed: OneNode) -> None:

    async def everything(seed: int) -> int:
        await asyncio.gather(send_all(unharmed.mqtt, KINDS, seed), send_all(unharmed.websocket, WEBSOCKET_KINDS, seed))
        return resident_bytes(unharmed)

    # What is never given back grows each time; what an allocator keeps for the next time does not.
    sizes = [await everything(seed) for seed in (3, 4, 5)]
    assert min(after - before for before, after in itertools.pairwise(sizes)) < MAX_GROWTH_BYTES / 4
