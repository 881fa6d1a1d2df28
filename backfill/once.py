"""A file that says how far something has come that is to be done once: it survives whoever dies in between."""

from pathlib import Path

from core.clock import format_rfc3339, parse_rfc3339, system_clock
from core.errors import UnavailableError

_BEGUN = "begun"


class Mark:
    """Missing, begun or over. Where it is begun, what was written so far is one's own, and may be written again."""

    def __init__(self, path: Path | None) -> None:
        """None keeps no mark: nothing was begun, or is over. Raises UnavailableError for one that cannot be read."""
        self._path = path
        try:
            self._text = path.read_text(encoding="utf-8") if path is not None and path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise UnavailableError(f"{path}: {error}") from error

    @property
    def begun(self) -> bool:
        """Whether it was begun, and never came to its end."""
        return self._text.startswith(_BEGUN)

    @property
    def begun_at(self) -> int | None:
        """When that was, milliseconds since the epoch; None where it was not begun, or is over."""
        try:
            return parse_rfc3339(self._text.rpartition(" at ")[2].strip()) if self.begun else None
        except ValueError:
            return None

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do."""
        return bool(self._text) and not self.begun

    @property
    def says(self) -> str:
        """Where it is, and what it says."""
        return f"{self._path}: {self._text.strip()}"

    def begin(self) -> None:
        """Note that something is about to be written. Raises UnavailableError."""
        self._write(_BEGUN)

    def end(self, how: str) -> None:
        """Note that it is over, and how it ended. Raises UnavailableError."""
        self._write(how)

    def _write(self, text: str) -> None:
        self._text = f"{text} at {format_rfc3339(system_clock())}\n"
        if self._path is None:
            return
        draft = self._path.with_name(f".{self._path.name}.draft")
        try:
            draft.write_text(self._text, encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:
            raise UnavailableError(f"{self._path}: {error}") from error
