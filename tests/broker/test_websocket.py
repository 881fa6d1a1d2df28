import asyncio
import base64
import hashlib

import pytest

from broker.transport import websocket
from broker.transport.websocket import WebSocketProtocol
from broker.transport.websocket_frames import FrameReader
from tests.broker.fake_transport import FakeTransport, Recorder
from tests.broker.frames import BINARY, CLOSE, KEY, PING, PONG, TEXT, close, frame, request
from tests.conftest import eventually

HANDSHAKE_BYTES = 8192


class Socket:
    """A WebSocket of the server, from both its sides."""

    def __init__(self) -> None:
        self.inner = Recorder()
        self.transport = FakeTransport()
        self.protocol = WebSocketProtocol(lambda: self.inner)
        self.protocol.connection_made(self.transport)

    def open(self) -> "Socket":
        self.protocol.data_received(request())
        assert self.transport.taken().startswith(b"HTTP/1.1 101 ")
        return self

    def says(self, *pieces: bytes) -> bytes:
        """What the server sends when these pieces come."""
        for piece in pieces:
            if not self.transport.is_closing():
                self.protocol.data_received(piece)
        return self.transport.taken()


@pytest.fixture
async def socket() -> Socket:
    return Socket().open()


@pytest.fixture
def brief_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.05)


class TestHandshake:
    async def test_it_is_answered_with_the_proof_and_the_subprotocol(self) -> None:
        answer = Socket().says(request()).decode()
        proof = base64.b64encode(hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()  # noqa: S324 - the standard's
        assert answer.startswith("HTTP/1.1 101 Switching Protocols\r\n")
        assert f"Sec-WebSocket-Accept: {proof}\r\n" in answer
        assert "Sec-WebSocket-Protocol: mqtt\r\n" in answer
        assert answer.endswith("\r\n\r\n")

    @pytest.mark.parametrize(
        "asked",
        [
            request("/"),
            request("/mqtt?token=1"),
            request(Upgrade="WebSocket"),
            request(Connection="upgrade"),
            request(Sec_WebSocket_Protocol="other, mqtt"),
            request(Sec_WebSocket_Protocol="other", more="Sec-WebSocket-Protocol: mqtt\r\n"),
            request(more="Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            request(more="Cookie: \xff\x80\r\n"),
        ],
    )
    async def test_what_clients_may_write_is_understood(self, asked: bytes) -> None:
        answer = Socket().says(asked)
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"Extensions" not in answer

    async def test_mqtt_3_1_has_its_own_subprotocol(self) -> None:
        assert b"Sec-WebSocket-Protocol: mqttv3.1\r\n" in Socket().says(request(Sec_WebSocket_Protocol="mqttv3.1"))

    @pytest.mark.parametrize(
        ("asked", "status"),
        [
            (request("/other"), 404),
            (request("/\xff"), 404),
            (request(Upgrade=None), 426),
            (request(Upgrade="h2c"), 426),
            (request(Connection="close"), 426),
            (request(Sec_WebSocket_Version="8"), 426),
            (request(Sec_WebSocket_Version="13\xff"), 426),
            (request(Sec_WebSocket_Key=None), 400),
            (request(Sec_WebSocket_Key="c2hvcnQ="), 400),
            (request(Sec_WebSocket_Key=KEY + "\xff"), 400),
            (request(more=f"Sec-WebSocket-Key: {KEY}\r\n"), 400),
            (request(Sec_WebSocket_Protocol=None), 400),
            (request(Sec_WebSocket_Protocol="amqp"), 400),
            (request(more="no colon\r\n"), 400),
            (request(more=": no name\r\n"), 400),
            (request(more="a name: with a space\r\n"), 400),
            (request().replace(b"GET", b"POST"), 400),
            (request().replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
            (b"\r\n\r\n", 400),
            (b"\x10\x0c\0\4MQTT\4\2\0\0\0\0\r\n\r\n", 400),
            (b"\xff" * HANDSHAKE_BYTES, 431),
            (request(more=f"Cookie: {'x' * HANDSHAKE_BYTES}\r\n"), 431),
        ],
    )
    async def test_anything_else_is_answered_and_closed(self, asked: bytes, status: int) -> None:
        socket = Socket()
        answer = socket.says(asked)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert answer.isascii()
        head, body = answer.split(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert socket.transport.closed
        assert not socket.inner.received

    async def test_a_refusal_repeats_nothing_of_the_request(self) -> None:
        assert b"evil" not in Socket().says(request("/evil", Sec_WebSocket_Version="evil", more="evil: evil\r\n"))

    async def test_it_may_come_byte_by_byte_and_with_frames_behind_it(self) -> None:
        socket = Socket()
        stream = request() + frame(b"packets")
        answer = socket.says(*(stream[index : index + 1] for index in range(len(stream))))
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert socket.inner.received == b"packets"
        at_once = Socket()
        at_once.says(stream)
        assert at_once.inner.received == b"packets"

    async def test_a_request_without_an_end_is_cut_off(self) -> None:
        socket = Socket()
        answer = socket.says(b"GET /mqtt HTTP/1.1\r\n", *(b"X-A: b\r\n" for _ in range(HANDSHAKE_BYTES)))
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert not socket.protocol._rest

    async def test_the_connection_is_there_before_it_so_that_its_limits_hold(self) -> None:
        socket = Socket()
        assert socket.inner.calls == ["made"]
        assert socket.inner.transport is not None
        assert socket.inner.transport.get_extra_info("peername") == ("192.0.2.1", 40_000)
        socket.inner.transport.abort()
        assert socket.transport.aborted
        # Its time was up: what comes now is not looked at.
        socket.protocol.data_received(request())
        assert not socket.transport.written

    async def test_a_connection_that_ends_before_it_just_closes(self) -> None:
        socket = Socket()
        socket.protocol.close()
        assert socket.transport.closed
        assert not socket.transport.written

    @pytest.mark.usefixtures("brief_close")
    async def test_a_client_that_does_not_take_the_refusal_is_cut_off(self) -> None:
        socket = Socket()
        socket.says(request("/other"))

        async def aborted() -> bool:
            return socket.transport.aborted

        await eventually(aborted)


class TestFrames:
    async def test_what_they_carry_goes_on_in_order(self, socket: Socket) -> None:
        for size in (0, 1, 2, 3, 4, 5, 125, 126, 127, 65_535, 65_536, 70_001):
            data = bytes(index % 251 for index in range(size))
            assert socket.says(frame(data)) == b""
            assert socket.inner.received == data
            socket.inner.received.clear()

    async def test_a_message_may_come_in_parts_with_pings_between_them(self, socket: Socket) -> None:
        answer = socket.says(
            frame(b"one ", fin=False), frame(b"!", PING), frame(b"two ", 0, fin=False) + frame(b"three", 0)
        )
        assert answer == b"\x8a\x01!"
        assert socket.inner.received == b"one two three"

    async def test_what_came_of_a_frame_is_not_kept_until_the_rest_is_there(self, socket: Socket) -> None:
        endless = frame(b"x" * 70_000).replace((70_000).to_bytes(8, "big"), (1 << 62).to_bytes(8, "big"))
        for _ in range(20):
            socket.says(endless)
        assert len(socket.inner.received) > 20 * 70_000
        assert socket.protocol._frames is not None
        assert socket.protocol._frames.buffered == 0

    async def test_only_the_last_of_many_pings_is_answered(self, socket: Socket) -> None:
        assert socket.says(b"".join(frame(str(number).encode(), PING) for number in range(1000))) == b"\x8a\x03999"
        assert socket.says(frame(b"", PONG)) == b""

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            (frame(b"text", TEXT), 1003),
            (frame(b"text", TEXT)[:2], 1003),
            (frame(b"x", mask=None), 1002),
            (frame(b"x", reserved=0x40), 1002),
            (frame(b"x", reserved=0x10), 1002),
            (frame(b"x", 3), 1002),
            (frame(b"x", 11), 1002),
            (frame(b"x", 0), 1002),
            (frame(b"a", fin=False) + frame(b"b", BINARY), 1002),
            (frame(b"x", PING, fin=False), 1002),
            (frame(b"x" * 126, PING), 1002),
            (b"\x82\xff" + b"\xff" * 8 + b"mask", 1002),
            (frame(b"x", CLOSE), 1002),
            (close(1005), 1002),
            (close(999), 1002),
            (close(5000), 1002),
            (close(1000, b"\xff"), 1007),
            (close(1000, b"bye"), 1000),
            (close(4000), 4000),
            (frame(b"", CLOSE), 1000),
        ],
    )
    async def test_a_close_or_a_violation_is_answered_with_a_code_and_the_end(
        self, socket: Socket, wrong: bytes, code: int
    ) -> None:
        answer = socket.says(frame(b"before") + wrong + frame(b"after"))
        assert answer == b"\x88\x02" + code.to_bytes(2, "big")
        assert socket.transport.closed
        assert b"before" in socket.inner.received
        assert b"after" not in socket.inner.received

    @pytest.mark.usefixtures("brief_close")
    async def test_a_client_that_keeps_the_socket_after_its_end_is_cut_off(self, socket: Socket) -> None:
        socket.says(frame(b"", TEXT))

        async def aborted() -> bool:
            return socket.transport.aborted

        await eventually(aborted)

    def test_a_reader_keeps_no_more_than_a_control_frame(self) -> None:
        reader = FrameReader()
        stream = frame(b"x" * 125, PING) + frame(b"y" * 70_000)
        for index in range(len(stream)):
            reader.feed(stream[index : index + 1])
            assert reader.buffered < 6 + 125


class TestTransport:
    async def test_what_the_connection_writes_leaves_in_one_binary_frame(self, socket: Socket) -> None:
        for size, header in (
            (0, b"\x82\0"),
            (125, b"\x82\x7d"),
            (126, b"\x82\x7e\0\x7e"),
            (65_535, b"\x82\x7e\xff\xff"),
        ):
            socket.protocol.write(b"x" * size)
            assert socket.transport.taken() == header + b"x" * size
        socket.protocol.write(b"x" * 65_536)
        assert socket.transport.taken() == b"\x82\x7f" + (65_536).to_bytes(8, "big") + b"x" * 65_536

    async def test_a_good_bye_waits_for_its_answer(self, socket: Socket) -> None:
        socket.protocol.pause_reading()
        socket.protocol.close()
        assert socket.transport.taken() == b"\x88\x02\x03\xe8"
        assert socket.protocol.is_closing()
        assert not socket.transport.is_closing()
        assert not socket.transport.paused
        socket.protocol.write(b"late")
        socket.protocol.close()
        assert socket.says(frame(b"late"), frame(b"!", PING)) == b""
        assert not socket.inner.received
        assert socket.says(close(1000)) == b""
        assert socket.transport.closed

    @pytest.mark.usefixtures("brief_close")
    async def test_a_good_bye_without_an_answer_ends_all_the_same(self, socket: Socket) -> None:
        socket.protocol.close()

        async def aborted() -> bool:
            return socket.transport.aborted

        await eventually(aborted)

    @pytest.mark.usefixtures("brief_close")
    async def test_a_lost_connection_leaves_no_timer(self, socket: Socket) -> None:
        socket.protocol.close()
        socket.protocol.connection_lost(None)
        assert socket.inner.calls == ["made", "lost"]
        assert socket.protocol._timer is not None
        assert socket.protocol._timer.cancelled()

    async def test_a_connection_that_ends_while_it_is_handed_data_gets_no_more(self, socket: Socket) -> None:
        class Impatient(Recorder):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                socket.protocol.close()

        socket.protocol._inner = socket.inner = Impatient()
        assert socket.says(frame(b"1") + frame(b"", PING), frame(b"2")) == b"\x88\x02\x03\xe8"
        assert socket.inner.received == b"1"

    async def test_pauses_go_both_ways(self, socket: Socket) -> None:
        socket.protocol.pause_writing()
        socket.protocol.resume_writing()
        assert socket.inner.calls == ["made", "pause", "resume"]
        socket.protocol.pause_reading()
        assert socket.transport.paused
        socket.protocol.resume_reading()
        assert not socket.transport.paused

    async def test_it_costs_no_task(self, socket: Socket) -> None:
        assert len(asyncio.all_tasks()) == 1
        assert not socket.transport.closed
