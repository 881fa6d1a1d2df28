"""What must hold for any bytes at all: each function raises only where something of ours is wrong.

tests/fuzz/test_*.py call them with what hypothesis finds, `make fuzz` with what a coverage-guided fuzzer does.
"""

import base64
import contextlib
import gzip
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np

from backup.rdb import Key, RdbError, RdbReader
from backup.sealing import DamagedError, Opener
from broker.protocol import packets
from broker.protocol.packets import Packet, PacketType, ProtocolViolationError, check_flags, split_packets
from broker.transport.proxy_protocol import BadHeaderError, Header, parse_header
from broker.transport.websocket_frames import FrameReader
from broker.transport.websocket_handshake import HandshakeRefusedError, accept, split_request
from core.kinds import DEFAULT_KINDS
from core.messages import DeadLetter, RawMessage, encode_positions
from decoder.batch import BatchDecoder
from decoder.contents import contents
from decoder.devices import DeviceHasher
from geofence import Geofence, InvalidCampusError, load_campus, parse_campus
from geofence.doubts import Carried, doubts
from geofence.importing.found import CannotImportError
from geofence.importing.making import Wishes, make_campus
from geofence.importing.picture import page
from geofence.importing.reading import read_file
from geofence.importing.report import left_out_lines, table
from payloads import IGNORED, Ignored, Outcome, Refusal, Sender, read
from simulator import message
from simulator.fix import BadTrackError
from simulator.tracks import read_tracks
from tests.conftest import NOON
from tests.fuzz.seeds import SEALED_KEY, SEALED_PATH

V1_BYTES = 107
V2_BYTES = 1040
HANDSHAKE_BYTES = 8192
MAX_FEATURES = 500

MAX_PACKET = 1024
_CONTROL_FRAME = 2 + 4 + 125
_SENTENCE = 300

_PARSERS: dict[PacketType, Callable[[bytes], object]] = {
    PacketType.CONNECT: packets.parse_connect,
    PacketType.SUBSCRIBE: packets.parse_subscribe,
    PacketType.UNSUBSCRIBE: packets.parse_unsubscribe,
    PacketType.PINGREQ: lambda body: packets.parse_empty("PINGREQ", body),
    PacketType.DISCONNECT: lambda body: packets.parse_empty("DISCONNECT", body),
}


def pieces(data: bytes) -> Iterator[bytes]:
    """All but the first byte, which says how it is cut."""
    if not data:
        return
    step, rest = data[0] + 1, data[1:]
    for start in range(0, len(rest), step):
        yield rest[start : start + step]


def mqtt(data: bytes) -> None:
    """A connection's bytes: ProtocolViolationError or packets, the same ones however they are cut; little is kept."""
    cut: list[Packet] = []
    violated = False
    rest = b""
    try:
        for piece in pieces(data):
            found, rest = split_packets(rest + piece, MAX_PACKET)
            assert len(rest) < MAX_PACKET, f"{len(rest)} bytes are kept"
            cut += found
    except ProtocolViolationError:
        violated = True
    try:
        whole, whole_rest = split_packets(data[1:], MAX_PACKET)
    except ProtocolViolationError:
        assert violated, "cut, it is no violation"
    else:
        assert (cut, rest, violated) == (whole, whole_rest, False)
    for packet in cut:
        _read_packet(packet)


def _read_packet(packet: Packet) -> None:
    try:
        packet_type = check_flags(packet, packets.MQTT_3_1_1)
        if packet_type is PacketType.PUBLISH:
            read = packets.parse_publish(packet)
            assert packets.publish(
                read.topic,
                read.payload,
                qos=read.qos,
                packet_id=read.packet_id,
                duplicate=read.duplicate,
                retain=read.retain,
            ) == packets.packet(*packet)
        elif packet_type in _PARSERS:
            _PARSERS[packet_type](packet[1])
        else:
            packet_id = packets.parse_packet_id(packet_type.name, packet[1])
            assert 0 < packet_id <= packets.MAX_PACKET_ID
    except ProtocolViolationError:
        return


def websocket(data: bytes) -> None:
    """A handshake and frames: an answer or payloads, the same ones however they are cut; little is kept."""
    cut_answer, cut = _spoken(list(pieces(data)))
    answer, whole = _spoken([data[1:]])
    assert cut_answer == answer, f"cut, it is answered with {cut_answer!r} instead of {answer!r}"
    assert cut == whole


def _spoken(stream: list[bytes]) -> tuple[bytes, tuple[bytes, int | None]]:
    """What the handshake is answered with, and what then came, with the code of the end."""
    answer, request, reader = b"", b"", None
    payload: list[bytes] = []
    code = None
    for piece in stream:
        data = piece
        if reader is None:
            request += piece
            try:
                found = split_request(request)
                if found is None:
                    assert len(request) < HANDSHAKE_BYTES
                    continue
                answer, data = accept(found[0]), found[1]
            except HandshakeRefusedError as refused:
                return refused.answer, (b"", None)
            reader = FrameReader()
        fed = reader.feed(data)
        payload.append(fed.payload)
        code = fed.close if code is None else code
        assert reader.buffered < _CONTROL_FRAME
        assert fed.ping is None or len(fed.ping) <= 125
    return answer, (b"".join(payload), code)


def frames(data: bytes) -> None:
    """Frames after a handshake, for a fuzzer that would not find its way through one."""
    cut, whole = _framed(list(pieces(data))), _framed([data[1:]])
    assert cut == whole


def _framed(stream: list[bytes]) -> tuple[bytes, int | None]:
    reader = FrameReader()
    payload = b""
    code = None
    for piece in stream:
        fed = reader.feed(piece)
        payload += fed.payload
        code = fed.close if code is None else code
        assert reader.buffered < _CONTROL_FRAME
    return payload, code


def proxy(data: bytes) -> None:
    """A header, none, or not yet: the same however it is cut, and known after few bytes."""
    cut: Header | None = None
    refused = False
    came = b""
    try:
        for piece in pieces(data):
            came += piece
            cut = parse_header(came)
            if cut is not None:
                break
    except BadHeaderError:
        refused = True
    try:
        whole = parse_header(data[1:])
    except BadHeaderError:
        assert refused, "cut, it is a header"
        return
    assert (cut, refused) == (whole, False)
    if whole is None:
        assert len(data) - 1 < V2_BYTES
    else:
        assert 0 < whole.size <= max(V1_BYTES, V2_BYTES)
        assert whole.peer is None or 0 <= whole.peer[1] <= 0xFFFF


def payload(data: bytes) -> None:
    """What a device sends, and the same as if it had encoded it: positions and dead letters that can be written."""
    for each in (data[1:], base64.b64encode(data[1:])):
        batch = _decoder().decode([RawMessage("car-iotp", "", "anonymous", NOON, each)])
        assert batch.totals["messages"] == 1
        assert len(batch.positions) + len(batch.dead) <= MAX_FEATURES
        for position in batch.positions:
            assert -180 <= position.longitude <= 180
            assert -90 <= position.latitude <= 90
            assert abs(position.observed_at) < 1 << 53
        encode_positions(batch.positions)
        for letter in batch.dead:
            assert len(letter.shape) < 500
            assert DeadLetter.decode({_bytes(name): _bytes(text) for name, text in letter.encode().items()}) == letter
            if letter.payload is not None:
                found = contents(letter.payload)
                assert found.known
                assert found.places
                assert None not in _decoder().fence.locate(*np.array(found.places).T)


def reading(data: bytes) -> None:
    """What any door reads, for senders of every kind: fixes within their ranges, or a sentence that tells nothing."""
    content = data[1:]
    for each in (content, base64.b64encode(content), gzip.compress(content, 1)):
        found = [read(each, Sender(own, topic, "car", NOON, age)) for own, topic, age in _SENDERS]
        # Who sends decides of a position whose it is and how old it may be, and of nothing else.
        assert len({len(outcomes) for outcomes in found}) == 1
        for (own, _, age), outcomes in zip(_SENDERS, found, strict=True):
            for outcome in outcomes:
                _check(outcome, own, age)


_SENDERS: tuple[tuple[str | None, str | None, int | None], ...] = (
    (None, None, None),
    (None, "jane/phone", None),
    ("bus", None, None),
    ("bus", "jane/phone", 1000),
)


def _check(outcome: Outcome, own: str | None, age: int | None) -> None:
    if isinstance(outcome, Refusal):
        assert outcome.error.detail
        assert len(outcome.error.detail) < _SENTENCE
        assert (outcome.index is None) == (outcome.member is None)
        return
    if isinstance(outcome, Ignored):
        assert outcome.what in IGNORED
        return
    assert -180 <= outcome.longitude <= 180
    assert -90 <= outcome.latitude <= 90
    assert (0 if age is None else NOON - age) <= outcome.observed_at <= NOON + 300_000
    assert 1 <= len(outcome.device_id) <= 128
    assert own in {None, outcome.device_id}
    assert 0 <= (outcome.accuracy or 0) <= 1e7
    assert 0 <= (outcome.speed or 0) <= 1000
    assert 0 <= (outcome.heading or 0) <= 360
    assert -12_000 <= (outcome.altitude or 0) <= 1e6


def campus(data: bytes) -> None:
    """A campus file, and what other programs have for one: a campus that can be drawn, or a sentence of one line."""
    content = data[1:]
    with contextlib.suppress(InvalidCampusError):
        list(doubts(parse_campus(content, "a file"), Carried()))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "export"
        file.write_bytes(content)
        try:
            made = make_campus(read_file(file, crs=None, latitude_first=False), Wishes())
        except CannotImportError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017 - of each sentence, whatever the bytes
            return
    for line in (*table(made), *left_out_lines(made.left_out), *made.notes):
        assert line.isprintable()
    assert page(made.campus, made.why).startswith("<!doctype html>")


def track(data: bytes) -> None:
    """A recording: fixes that can be sent, in an archive of many too; or a sentence of one line."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recorded"
        file.write_bytes(data[1:])
        try:
            recording = read_tracks(file)
        except BadTrackError as error:
            assert str(error).isprintable()  # noqa: PT017 - of each sentence, whatever the bytes
            return
    assert all(line.isprintable() for line in recording.left_out)
    assert recording.tracks
    assert len({each.name for each in recording.tracks}) == len(recording.tracks)
    for each in recording.tracks:
        assert 1 <= len(each.name) <= 128
        assert all(note.isprintable() for note in each.notes)
        for fix in each.fixes[:10]:
            sent = json.loads(base64.b64decode(message.payload(fix, each.name), validate=True))
            assert -180 <= sent["geometry"]["coordinates"][0] <= 180


def snapshot(data: bytes) -> None:
    """A snapshot of Redis: keys or a sentence, the same ones however it is cut, with values or without."""
    cut, cut_error = _keys(pieces(data), values=True)
    whole, error = _keys([data[1:]], values=True)
    assert (cut, cut_error) == (whole, error)
    measured, error = _keys(pieces(data), values=False)
    assert ([key.size for key in measured], error) == ([key.size for key in cut], cut_error)
    for key in cut:
        assert len(key.dumped) == 1 + key.size + 10
        assert key.size < len(data)


def _keys(stream: Iterable[bytes], *, values: bool) -> tuple[list[Key], str]:
    reader, found = RdbReader(values=values), list[Key]()
    try:
        for piece in stream:
            for key in reader.feed(piece):
                found.append(key)
        reader.end()
    except RdbError as error:
        return found, str(error)
    return found, ""


def sealed(data: bytes) -> None:
    """A part of a backup: text or a sentence, the same one however it is cut."""
    cut, cut_error = _opened(pieces(data))
    whole, error = _opened([data[1:]])
    assert error == cut_error
    assert cut == whole


def _opened(stream: Iterable[bytes]) -> tuple[bytes, str]:
    opener, found = Opener(SEALED_KEY, SEALED_PATH), b""
    try:
        for piece in stream:
            found += b"".join(opener.feed(piece))
        found += b"".join(opener.end())
    except DamagedError as error:
        assert str(error).isprintable()  # noqa: PT017 - of each sentence, whatever the bytes
        return b"", str(error)
    return found, ""


def _bytes(field: bytes | str | int) -> bytes:
    return field if isinstance(field, bytes) else str(field).encode()


@cache
def _decoder() -> BatchDecoder:
    return BatchDecoder(
        kinds=DEFAULT_KINDS, fence=Geofence(load_campus(None)), hasher=DeviceHasher(b"k" * 32), partitions=1
    )


TARGETS: dict[str, Callable[[bytes], None]] = {
    "mqtt": mqtt,
    "websocket": websocket,
    "frames": frames,
    "proxy": proxy,
    "payload": payload,
    "reading": reading,
    "campus": campus,
    "track": track,
    "snapshot": snapshot,
    "sealed": sealed,
}
