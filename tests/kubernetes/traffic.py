"""Positions without an end, and the longest time for which a sender was told nothing; people who ask the API."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import httpx

from tests.containers.senders import Sender

_LOOK_SECONDS = 0.05
OUTAGE_SECONDS = 600.0
"""How long nothing may be acknowledged before the traffic gives up."""


class Steady:
    """One message after another from each of some senders while the context lasts; all are acknowledged at its end."""

    def __init__(self, senders: Sequence[Sender], message: Callable[[int], tuple[str, bytes]], *, rate: float) -> None:
        """`message` makes topic and payload of a number, from 0; `rate` is a second, of all senders together."""
        self.senders = senders
        self.longest = 0.0
        """Seconds for which one of them was told nothing; whoever measures sets it to zero."""
        self._message = message
        self._every = len(senders) / rate
        self._stopped = threading.Event()
        self._failures: list[AssertionError] = []
        self._threads = [
            *(threading.Thread(target=self._send, args=(place,), daemon=True) for place in range(len(senders))),
            threading.Thread(target=self._watch, daemon=True),
        ]

    @property
    def numbers(self) -> set[int]:
        """Of the messages that were given to senders: the first one has 0, 4, 8, ... where there are four."""
        return {self._number(place, index) for place, each in enumerate(self.senders) for index in range(each.sent)}

    @property
    def acknowledged(self) -> set[int]:
        """Those that were acknowledged."""
        return {self._number(place, index) for place, each in enumerate(self.senders) for index in each.acknowledged()}

    @property
    def acknowledgements(self) -> list[int]:
        """How many each of them has had so far."""
        return [each.acknowledgements for each in self.senders]

    def has_gone_on(self, before: Sequence[int]) -> bool:
        """Whether each has had more than these."""
        return all(now > then for now, then in zip(self.acknowledgements, before, strict=True))

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
        if kind is None and self._failures:
            raise self._failures[0]

    def _number(self, place: int, index: int) -> int:
        return place + index * len(self.senders)

    def _send(self, place: int) -> None:
        sender = self.senders[place]
        try:
            with sender:
                while not self._stopped.wait(self._every):
                    sender.publish(*self._message(self._number(place, sender.sent)), limit=OUTAGE_SECONDS)
                sender.wait(limit=OUTAGE_SECONDS)
        except AssertionError as error:
            self._failures.append(error)

    def _watch(self) -> None:
        seen, since = self.acknowledgements, [time.monotonic()] * len(self.senders)
        while not self._stopped.wait(_LOOK_SECONDS):
            now, told = time.monotonic(), self.acknowledgements
            self.longest = max(self.longest, *(now - each for each in since))
            since = [now if new != old else each for new, old, each in zip(told, seen, since, strict=True)]
            seen = told


class Asking:
    """A hundred people who ask the API one after another while the context lasts, each over a connection of its own."""

    def __init__(self, url: str, *, rate: float) -> None:
        """`rate` is a second."""
        self.answers: Counter[tuple[int, str]] = Counter()
        """By status, and the version that answered."""
        self.failures: Counter[str] = Counter()
        """Of connections, by their names."""
        self._url = url
        self._rate = rate
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _ask(self) -> None:
        number = 0
        while not self._stopped.wait(1 / self._rate):
            number += 1
            try:
                answer = httpx.get(
                    f"{self._url}/v1/zones", headers={"X-Campus-Client": f"person-{number % 100}"}, timeout=30
                )
                self.answers[answer.status_code, answer.headers.get("X-Campus-App-Version", "")] += 1
            except httpx.TransportError as error:
                self.failures[type(error).__name__] += 1
