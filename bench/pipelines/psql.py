"""A psql that stays open: SQL in, its answer out. It needs no library, and is as fast as one for batches."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

END = "-- end of the answer --"
USER = "bench"


class Psql:
    """One connection, opened when it is needed, and again after it broke."""

    def __init__(self, socket: Path) -> None:
        """`socket` is the folder of the server's socket."""
        self._command: Sequence[str] = (
            *("psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"),
            *("--host", str(socket), "--username", USER, "--dbname", "postgres"),
        )
        self._process: subprocess.Popen[str] | None = None

    def ask(self, sql: str) -> str:
        """What statements answer, each ended by a semicolon. Raises OSError where the server does not take them."""
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603 - of Debian, with arguments of our own
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise AssertionError("psql has no pipes")
        try:
            process.stdin.write(f"{sql}\n\\echo {END}\n")
            process.stdin.flush()
            lines: list[str] = []
            for line in process.stdout:
                if line.rstrip("\n") == END:
                    return "".join(lines)
                lines.append(line)
        except BrokenPipeError:
            pass
        self.close()
        raise ConnectionError("psql has ended: the server is away, or refused a statement")

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def quoted(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
