"""Server-sent events as bytes, as the HTML standard defines them (section 9.2)."""

MEDIA_TYPE = "text/event-stream"
HEARTBEAT = b": heartbeat\n\n"
"""A comment: clients ignore it; what stands between them sees that the stream lives."""


def frame(event: str, data: bytes, *, id_: str) -> bytes:
    """One event. `data` is JSON on one line; `id_` is what a client gives back as Last-Event-ID."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (event.encode(), id_.encode(), data)


def retry(milliseconds: int) -> bytes:
    """How long a client is to wait before it comes back."""
    return b"retry: %d\n\n" % milliseconds
