"""A device that logs in, loses its connection, and logs in again at once."""

from collections import Counter

from core.clock import Clock
from simulator.misbehaviour.answer import Answer
from simulator.misbehaviour.system import System
from simulator.misbehaviour.wire import NO_ANSWER

LOGINS = 120
_WORDS = {0: "let in", 3: "told to come later (3)", 5: "not authorized (5)", NO_ANSWER: "closed without an answer"}


def storm(system: System, name: str, _clock: Clock) -> Answer:
    """One client id, as fast as it goes; then another one, who has nothing to do with it."""
    before = system.figures()
    login = system.device(system.kind) or system.gateway
    codes: Counter[int] = Counter()
    for _ in range(LOGINS):
        with system.wire() as wire:
            codes[wire.connect(f"{name}-storm", login)] += 1
    with system.wire() as other:
        another = other.connect(f"{name}-calm", login)
    return Answer(
        "storm",
        f"{LOGINS} logins with one client id, one after the other",
        [
            *(f"{count} {_words(code)}" for code, count in sorted(codes.items())),
            f"another client id of that user: {_words(another)}",
            *system.changes(before, messages=0),
        ],
    )


def _words(code: int) -> str:
    return _WORDS.get(code, f"refused ({code})")
