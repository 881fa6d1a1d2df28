"""A way to a server that a test can cut, and lead elsewhere; with TLS at its beginning, if it has a certificate."""

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

Address = tuple[str, int]


class Relay(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, target: Address, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Way)
        self.target = target
        self.tls: ssl.SSLContext | None = None
        if certificate is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate)
        self.open: set[socket.socket] = set()
        self.connections = 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def cut(self) -> None:
        """End all connections at once, whatever is on the way."""
        for each in list(self.open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class _Way(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            here = self.request
            if self.server.tls is not None:
                here = self.server.tls.wrap_socket(here, server_side=True)
            with here, socket.create_connection(self.server.target) as there:
                self.server.connections += 1
                self.server.open |= {here, there}
                back = threading.Thread(target=_copy, args=(there, here), daemon=True)
                back.start()
                _copy(here, there)
                back.join()
                self.server.open -= {here, there}


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relay(target: Address, certificate: Path | None = None) -> Iterator[Relay]:
    with Relay(target, certificate) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.cut()
            server.shutdown()
            thread.join()
