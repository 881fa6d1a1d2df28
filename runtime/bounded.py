"""Bodies that others send, read up to a bound."""

from aiohttp import StreamReader


class TooLongError(Exception):
    """More came than may come."""


async def read_bounded(content: StreamReader, limit: int) -> bytes:
    """All of it. Raises TooLongError as soon as there are more than `limit` bytes, and what aiohttp raises."""
    parts, size = [], 0
    async for part in content.iter_any():
        size += len(part)
        if size > limit:
            raise TooLongError(f"longer than {limit} bytes")
        parts.append(part)
    return b"".join(parts)
