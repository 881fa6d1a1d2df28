from collections.abc import Iterator

import pytest
import stamina.instrumentation

from core.errors import UnavailableError
from runtime.retry import Backoff, until_available

AT_ONCE = Backoff(initial=0, longest=0, jitter=0)


class Work:
    """Fails with these errors, one a call; then it is done."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return "done"


class Listener:
    """Is patient for so many waits."""

    def __init__(self, patience: int = 100) -> None:
        self._patience = patience
        self.heard: list[str] = []

    def waits(self, error: UnavailableError) -> bool:
        self.heard.append(str(error))
        return len(self.heard) <= self._patience

    def answered(self) -> None:
        self.heard.append("answered")


@pytest.fixture
def waits() -> Iterator[list[float]]:
    """The seconds between attempts."""
    found: list[float] = []
    stamina.instrumentation.set_on_retry_hooks([lambda details: found.append(details.wait_for)])
    yield found
    stamina.instrumentation.set_on_retry_hooks(None)


async def test_what_is_away_is_asked_until_it_answers() -> None:
    work = Work(UnavailableError("one"), UnavailableError("two"))
    listener = Listener()
    assert await until_available(work, told=listener, backoff=AT_ONCE) == "done"
    assert work.calls == 3
    assert listener.heard == ["one", "two", "answered"]


async def test_who_listens_hears_also_of_a_first_answer_and_may_give_up() -> None:
    listener = Listener(patience=2)
    await until_available(Work(), told=listener, backoff=AT_ONCE)
    with pytest.raises(UnavailableError, match="two"):
        await until_available(Work(UnavailableError("one"), UnavailableError("two")), told=listener, backoff=AT_ONCE)
    assert listener.heard == ["answered", "one", "two"]


async def test_waits_double_up_to_the_longest(waits: list[float]) -> None:
    work = Work(*(UnavailableError("away") for _ in range(5)))
    await until_available(work, backoff=Backoff(initial=0.001, longest=0.005, jitter=0))
    assert waits == pytest.approx([0.001, 0.002, 0.004, 0.005, 0.005])


@pytest.mark.parametrize(("asked", "least", "most"), [(0.03, 0.03, 0.13), (0.0, 0, 0.1)])
async def test_a_wait_that_was_asked_for_is_made_with_a_little_jitter(
    waits: list[float], asked: float, least: float, most: float
) -> None:
    await until_available(Work(UnavailableError("slow down", retry_after=asked)), backoff=AT_ONCE)
    [wait] = waits
    assert least <= wait <= most


async def test_a_defect_is_not_tried_again() -> None:
    work = Work(UnavailableError("away"), ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await until_available(work, backoff=AT_ONCE)
    assert work.calls == 2
