"""Positions without an end, and the longest time for which none was acknowledged."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.containers.senders import Sender

_LOOK_SECONDS = 0.05
OUTAGE_SECONDS = 600.0
"""How long nothing may be acknowledged before the traffic gives up."""


class Steady:
    """One message after another while the context lasts; all of them are acknowledged when it ends well."""

    def __init__(self, sender: Sender, message: Callable[[int], tuple[str, bytes]], *, rate: float) -> None:
        """`message` makes topic and payload of a number, from 0; `rate` is a second."""
        self.sender = sender
        self.longest = 0.0
        """Seconds; whoever measures sets it to zero."""
        self._message = message
        self._rate = rate
        self._stopped = threading.Event()
        self._failure: AssertionError | None = None
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._send, self._watch)]

    @property
    def count(self) -> int:
        """How many were given to the sender."""
        return self.sender.sent

    def has_gone_on(self, before: int) -> bool:
        """Whether more were acknowledged than these."""
        return self.sender.acknowledgements > before

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        if kind is None and self._failure is not None:
            raise self._failure

    def _send(self) -> None:
        try:
            with self.sender:
                while not self._stopped.wait(1 / self._rate):
                    self.sender.publish(*self._message(self.sender.sent), limit=OUTAGE_SECONDS)
                self.sender.wait(limit=OUTAGE_SECONDS)
        except AssertionError as error:
            self._failure = error

    def _watch(self) -> None:
        seen, since = 0, time.monotonic()
        while not self._stopped.wait(_LOOK_SECONDS):
            now, acknowledged = time.monotonic(), self.sender.acknowledgements
            self.longest = max(self.longest, now - since)
            if acknowledged != seen:
                seen, since = acknowledged, now
