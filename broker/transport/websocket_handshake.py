"""The opening handshake of WebSocket (RFC 6455, 4.2) for MQTT: one HTTP request, without I/O.

Nothing of the request is in the answer but what the standard makes of its key.
"""

import binascii
import re
from base64 import b64encode
from hashlib import sha1
from http import HTTPStatus

HANDSHAKE_BYTES = 8 * 1024
"""What a request may have; browsers send their cookies along."""
PATHS = ("/mqtt", "/")
SUBPROTOCOLS = ("mqtt", "mqttv3.1")
"""By preference; the second is what clients of MQTT 3.1 ask for."""
_END = b"\r\n\r\n"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16
_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")


class HandshakeRefusedError(Exception):
    """The request is answered, and no WebSocket comes of it."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        """`text` is for a person with a browser."""
        super().__init__(text)
        more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" if status is HTTPStatus.UPGRADE_REQUIRED else ""
        self.answer = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n{more}Connection: close\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(text) + 1}\r\n\r\n{text}\n"
        ).encode()


def split_request(data: bytes) -> tuple[bytes, bytes] | None:
    """The request at the beginning of `data`, and what follows it; None while it is not complete.

    Raises HandshakeRefusedError for one of more than `HANDSHAKE_BYTES`.
    """
    end = data.find(_END, 0, HANDSHAKE_BYTES)
    if end < 0:
        if len(data) >= HANDSHAKE_BYTES:
            raise HandshakeRefusedError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request of more than {HANDSHAKE_BYTES} bytes"
            )
        return None
    return data[:end], data[end + len(_END) :]


def accept(request: bytes) -> bytes:
    """The answer that opens the WebSocket. Raises HandshakeRefusedError."""
    first, *lines = request.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[0] != "GET" or words[2] != "HTTP/1.1":  # noqa: PLR2004 - method, path and version
        raise HandshakeRefusedError(HTTPStatus.BAD_REQUEST, "expected GET and HTTP/1.1")
    if words[1].partition("?")[0] not in PATHS:
        raise HandshakeRefusedError(HTTPStatus.NOT_FOUND, "MQTT over WebSocket is at /mqtt")
    fields = _fields(lines)
    if not _offers(fields, "upgrade", "websocket") or not _offers(fields, "connection", "upgrade"):
        raise HandshakeRefusedError(HTTPStatus.UPGRADE_REQUIRED, "MQTT over WebSocket: a WebSocket client is needed")
    if fields.get("sec-websocket-version") != "13":
        raise HandshakeRefusedError(HTTPStatus.UPGRADE_REQUIRED, "expected version 13 of WebSocket")
    key = fields.get("sec-websocket-key", "")
    try:
        has_key = len(binascii.a2b_base64(key, strict_mode=True)) == _KEY_BYTES
    except ValueError:
        has_key = False
    if not has_key:
        raise HandshakeRefusedError(HTTPStatus.BAD_REQUEST, "expected a Sec-WebSocket-Key of 16 bytes")
    offered = [each.strip() for each in fields.get("sec-websocket-protocol", "").split(",")]
    for subprotocol in SUBPROTOCOLS:
        if subprotocol in offered:
            break
    else:
        raise HandshakeRefusedError(HTTPStatus.BAD_REQUEST, "[MQTT-6.0.0-3] the WebSocket subprotocol must be mqtt")
    proof = b64encode(sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {proof}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    ).encode()


def _fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise HandshakeRefusedError(HTTPStatus.BAD_REQUEST, "a header that is malformed")
        name, value = name.lower(), value.strip(" \t")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _offers(fields: dict[str, str], name: str, wanted: str) -> bool:
    return wanted in [each.strip().lower() for each in fields.get(name, "").split(",")]
