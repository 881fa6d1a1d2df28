"""WebSocket frames as a client sends them: well-formed or not, and independent of the broker."""

from base64 import b64encode

KEY = b64encode(b"the sample nonce").decode()
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def request(path: str = "/mqtt", *, more: str = "", **fields: str | None) -> bytes:
    """A handshake; a field of None is left out, underscores in names stand for hyphens."""
    named: dict[str, str | None] = {
        "Host": "broker",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec_WebSocket_Key": KEY,
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Protocol": "mqtt",
    }
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in (named | fields).items() if value is not None]
    return f"GET {path} HTTP/1.1\r\n{''.join(lines)}{more}\r\n".encode("latin-1")


def frame(
    data: bytes, opcode: int = BINARY, *, fin: bool = True, reserved: int = 0, mask: bytes | None = b"\x01\x80\xfe\x37"
) -> bytes:
    """A frame; `mask` None leaves the masking out, as only a server may."""
    size = len(data)
    masked = 0x80 if mask is not None else 0
    if size <= 125:
        header = bytes((masked | size,))
    elif size <= 0xFFFF:
        header = bytes((masked | 126,)) + size.to_bytes(2, "big")
    else:
        header = bytes((masked | 127,)) + size.to_bytes(8, "big")
    carried = data if mask is None else mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
    return bytes(((0x80 if fin else 0) | reserved | opcode,)) + header + carried


def close(code: int, reason: bytes = b"") -> bytes:
    """A closing frame."""
    return frame(code.to_bytes(2, "big") + reason, CLOSE)
