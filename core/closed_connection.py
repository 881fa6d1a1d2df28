"""A connection that ended before something was written to it, which uvloop tells in its own way."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

CLOSED_TRANSPORT = RuntimeError
"""What to catch beside OSError where something is written, and to ask `was_closed` about."""
_WORDS = "the handler is closed"


def was_closed(error: BaseException) -> bool:
    """Whether uvloop says by this error that the other side had gone already.

    asyncio's own loop says nothing there, and the next read fails; uvloop raises a RuntimeError of the write
    (`UVHandle._ensure_alive`), which is no OSError.
    """
    return isinstance(error, CLOSED_TRANSPORT) and _WORDS in str(error)


@contextmanager
def told_as_os_error() -> Iterator[None]:
    """Raise ConnectionResetError for it, as for any connection that the other side has ended."""
    try:
        yield
    except CLOSED_TRANSPORT as error:
        if not was_closed(error):
            raise
        raise ConnectionResetError(errno.ECONNRESET, "the other side has ended the connection") from error
