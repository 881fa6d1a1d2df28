"""A client that leaves in the middle of its request costs a line of the log, and nothing else."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.api.conftest import key_for
from tests.api.test_process import client_of, running, until
from tests.conftest import free_port

ABORTED = {
    "a body that is shorter than it was said to be": b"Content-Length: 40000\r\n\r\n{",
    "no body where one was announced": b"Content-Length: 40000\r\n\r\n",
    "chunks without an end": b"Transfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n",
    "half a chunk": b"Transfer-Encoding: chunked\r\n\r\n40\r\n{",
    "a chunk that is none": b"Transfer-Encoding: chunked\r\n\r\nno\r\n{",
    "half of the headers": b"Content-Le",
}
PATHS = ("/v1/positions?kind=car", "/v1/positions/search", "/v1/nothing")


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_an_aborted_request_is_one_line_of_the_log_at_the_most(
    redis_server: str, redis_client: Redis, tmp_path: Path, log_format: str
) -> None:
    port = free_port()
    key = await key_for(redis_client, "positions:write", "positions:read")
    environment = {"REDIS_URL": redis_server, "LOG_FORMAT": log_format, "API_RATE_LIMIT": "0"}
    sent = 0
    async with running(port, DATA_DIR=str(tmp_path), **environment) as process, client_of(port) as client:
        await until(client, "/healthz", 200)
        for path in PATHS:
            head = f"POST {path} HTTP/1.1\r\nHost: campus\r\nAuthorization: {key['Authorization']}\r\n".encode()
            for rest in ABORTED.values():
                for _ in range(4):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(head + rest)
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
                    sent += 1
        await until(client, "/healthz", 200)
        process.terminate()
        output, errors = await process.communicate()

    assert sent == 72
    assert errors == b""
    assert b"Traceback" not in output, output.decode()
    # Beside theirs: that it listens, and that it has stopped.
    assert output.count(b"\n") <= sent + 2, output.decode()
