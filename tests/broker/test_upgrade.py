"""A session that the version before has kept."""

import asyncio
import subprocess
import sys

import pytest
from redis.asyncio import Redis

from tests.broker.conftest import StartNode
from tests.state.version_1 import load, restore


async def test_a_session_has_its_messages_after_the_upgrade(
    redis_client: Redis, redis_server: str, start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_down = load(1)
    await restore(redis_client, written_down)
    command = [sys.executable, "-m", "state", "migrate"]
    await asyncio.to_thread(
        subprocess.run,
        command,
        env={"PATH": "", "REDIS_URL": redis_server},
        check=True,
        capture_output=True,
        timeout=60,
    )
    # Ten minutes later: positions are too old to be sent, and a session is kept for a day.
    monkeypatch.setattr("tests.broker.conftest.system_clock", lambda: written_down["clock"] + 600_000)
    node = await start_node()
    client = await node.service.connect("board-1", clean=False, user="board", password=b"secret of board")
    assert client.session_present
    assert [(await client.take()).topic for _ in range(3)] == ["note/door", "loss/one", "loss/two"]
    publisher = await node.service.connect("gate", user="board", password=b"secret of board")
    await publisher.publish("note/window", b"new", qos=1)
    assert (await client.take()).topic == "note/window"
