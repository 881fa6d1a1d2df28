"""Ctrl-C where it does no harm: a lock that is being taken or given back when it comes may stay locked for ever."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Ctrl-C raises KeyboardInterrupt, but within `held` only once that ends, or where `check` is called."""

    def __init__(self, *others: signal.Signals) -> None:
        """`others` are signals that count as Ctrl-C, too, such as SIGTERM."""
        self._held = 0
        self._came = False
        self._numbers = (signal.SIGINT, *others)
        self._before: dict[signal.Signals, signal.Handlers | object] = {}

    def begin(self) -> None:
        """Take Ctrl-C over. Outside of the main thread there is none to take."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._on_signal) for number in self._numbers}

    def end(self) -> None:
        """Give it back to whoever had it."""
        for number, before in self._before.items():
            if callable(before) or isinstance(before, signal.Handlers):
                signal.signal(number, before)
        self._before = {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing in here be interrupted. A Ctrl-C that came meanwhile goes before what was raised in here."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C has come."""
        if self._came:
            self._came = False
            raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True
        if not self._held:
            self.check()
