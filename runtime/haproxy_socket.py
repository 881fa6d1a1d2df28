"""HAProxy's runtime API over its socket (management guide, section 9.3): one command, one answer."""

import asyncio
from pathlib import Path

from core.closed_connection import told_as_os_error
from core.errors import UnavailableError

TIMEOUT_SECONDS = 3.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024


class HaproxySocket:
    """HAProxy's own socket, which has to have level admin."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def ask(self, *commands: str, payload: str = "") -> str:
        """The answers to commands that are done together, as text.

        `payload` are lines that the last of them takes (`add map ... <<`). All of it has to fit HAProxy's buffer
        (`tune.bufsize`, 16 kB): what is longer is not done, and nothing is said of it. Raises UnavailableError, and
        ValueError where a command or the payload would be another command to HAProxy, which begins one after each
        semicolon, each line, and an empty line of a payload.
        """
        for command in commands:
            if ";" in command or not command.isprintable():
                raise ValueError(f"{command[:200]!r} is no single command: it has a semicolon, or is not printable")
        lines = payload.split("\n") if payload else []
        for number, line in enumerate(lines, 1):
            if not line.strip() or not line.isprintable():
                raise ValueError(f"line {number} of a payload, {line[:200]!r}, is empty, or not printable")
        text = "; ".join(commands) + (" <<\n" + "\n".join(lines) + "\n\n" if lines else "\n")
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(self._path))
                try:
                    with told_as_os_error():
                        writer.write(text.encode())
                    await writer.drain()
                    return await self._read(reader)
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            raise UnavailableError(f"HAProxy does not answer at {self._path}: {error or 'too slow'}") from error

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> str:
        parts, size = [], 0
        while part := await reader.read(65_536):
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise UnavailableError(f"HAProxy's answer is longer than {MAX_ANSWER_BYTES} bytes")
            parts.append(part)
        return b"".join(parts).decode(errors="replace")
