"""Raw sockets that have spoken CONNECT, and no more of MQTT than the benchmark needs."""

import socket

from bench.broker.packets import CONNACK, connect

HOST = "127.0.0.1"
LIMIT_SECONDS = 15.0
"""How long a broker may take for one answer before it counts as broken."""


class BrokenError(RuntimeError):
    """The broker did not do what MQTT asks for; says what it did."""


def connected(port: int, client_id: str, *, clean_session: bool = True) -> socket.socket:
    """A blocking connection that was accepted. Raises Broken where it was not, OSError where nobody listens."""
    opened = socket.create_connection((HOST, port), timeout=LIMIT_SECONDS)
    try:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.sendall(connect(client_id, clean_session=clean_session))
        expect(opened, CONNACK)
    except BaseException:
        opened.close()
        raise
    return opened


def expect(opened: socket.socket, answer: bytes) -> None:
    """Read `answer` and nothing else from a blocking connection. Raises Broken for anything else."""
    found = b""
    try:
        while len(found) < len(answer):
            part = opened.recv(len(answer) - len(found))
            if not part:
                break
            found += part
    except TimeoutError as error:
        raise BrokenError(f"no answer within {LIMIT_SECONDS:g} s") from error
    if found != answer:
        raise BrokenError(f"answered {found.hex(' ') or 'nothing'} where {answer.hex(' ')} was due")
