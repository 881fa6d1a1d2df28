"""As much of HTTP/2 (RFC 9113) as it takes to ask several times in one connection."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS, _HEADERS = 4, 1
_END_STREAM_AND_HEADERS = 5


def opening() -> bytes:
    """What a client sends first: the preface, and settings of which all are the default (3.4)."""
    return PREFACE + _frame(_SETTINGS, 0, 0, b"")


def get(path: str, stream: int) -> bytes:
    """A request without a body; streams of clients have odd numbers (5.1.1)."""
    # HPACK (RFC 7541): 2 and 7 of the static table are GET and https; 4 and 1 name :path and :authority.
    fields = b"\x82\x87" + _literal(0x44, path) + _literal(0x41, "localhost")
    return _frame(_HEADERS, _END_STREAM_AND_HEADERS, stream, fields)


def _literal(index: int, value: str) -> bytes:
    return bytes((index, len(value))) + value.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
