"""Servers that are no help: one that is away, and some that answer something else."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import free_port


def _http(status: str, body: str, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return (head + body).encode()


ANSWERS = {
    "500": _http("500 Internal Server Error", '{"error":"internal","reason":"out of order"}'),
    "400": _http("400 Bad Request", '{"error":"bad_request","reason":"invalid UTF-8 JSON"}'),
    "403": _http("403 Forbidden", '{"error":"forbidden","reason":"no"}'),
    "a page": _http("200 OK", "<html>a proxy's page</html>", "text/html"),
    "json of another shape": _http("200 OK", '{"hello":["world",1]}'),
    "half an answer": _http("200 OK", "{}")[:-20],
    "nothing": b"",
    "no HTTP": b"\x00\xff\x00\xff garbage\r\n",
    "-ERR": b"-ERR out of order\r\n",
    "-MISCONF": b"-MISCONF Errors writing to the AOF file: No space left on device\r\n",
    "-WRONGTYPE": b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    "another type": b"+OK\r\n" * 20,
}


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that answers every request so, and closes where the answer is none of Redis's; its port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(65_536):
                self.request.sendall(answer)
                if not answer.startswith((b"-", b"+")):
                    return

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """The client has gone: that is its right."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a server that answers as the test's parameter says; `away`: of none."""
    if request.param == "away":
        yield free_port()
        return
    with answering(ANSWERS[request.param]) as number:
        yield number
