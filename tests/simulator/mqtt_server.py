"""The least that can stand in for an MQTT server: it answers CONNECT, PUBLISH at QoS 1, PINGREQ and DISCONNECT.

It does on purpose what a real one does by accident: break a connection, keep its acknowledgements, refuse a user.
"""

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CONNECT, PUBLISH, PINGREQ, DISCONNECT = 1, 3, 12, 14


class MqttServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, break_after: int | None = None, connack: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.break_after = (
            break_after  # this many messages arrive; the last of them breaks its connection, unacknowledged
        )
        self.connack = connack
        self.connack_to_users: int | None = None  # the answer to those with a user name, if another one
        self.connects: list[bytes] = []  # the bodies of the CONNECT packets
        self.received: list[tuple[str, bytes]] = []
        self.acknowledging = threading.Event()
        self.acknowledging.set()
        self.changed = threading.Condition()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def wait_for_messages(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.received) >= count, timeout=15)


class _Connection(socketserver.StreamRequestHandler):
    server: MqttServer

    def handle(self) -> None:
        while (packet := self._packet()) is not None:
            kind, qos, body = packet
            if kind == CONNECT:
                self.server.connects.append(body)
                to_users, names_a_user = self.server.connack_to_users, body[7] & 0x80
                code = self.server.connack if to_users is None or not names_a_user else to_users
                self.wfile.write(bytes([0x20, 2, 0, code]))
            elif kind == PUBLISH:
                assert qos == 1
                if not self._published(body):
                    return
            elif kind == PINGREQ:
                self.wfile.write(b"\xd0\0")
            elif kind == DISCONNECT:
                return

    def _packet(self) -> tuple[int, int, bytes] | None:
        try:
            head = self.rfile.read(1)
            if not head:
                return None
            length = shift = 0
            while (byte := self.rfile.read(1)[0]) & 0x80:
                length |= (byte & 0x7F) << shift
                shift += 7
            body = self.rfile.read(length | byte << shift)
        except ConnectionError:
            return None
        return head[0] >> 4, head[0] >> 1 & 3, body

    def _published(self, body: bytes) -> bool:
        (size,) = struct.unpack_from("!H", body)
        (identifier,) = struct.unpack_from("!H", body, 2 + size)
        with self.server.changed:
            self.server.received.append((body[2 : 2 + size].decode(), body[4 + size :]))
            self.server.changed.notify_all()
            if len(self.server.received) == self.server.break_after:
                return False
        self.server.acknowledging.wait(timeout=15)
        self.wfile.write(struct.pack("!BBH", 0x40, 2, identifier))
        return True


@contextmanager
def mqtt_server(*, break_after: int | None = None, connack: int = 0) -> Iterator[MqttServer]:
    with MqttServer(break_after=break_after, connack=connack) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.acknowledging.set()
            server.shutdown()
            thread.join()
