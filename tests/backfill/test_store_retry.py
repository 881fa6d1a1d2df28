import pytest

from backfill.store_retry import StoreRetry
from core.errors import UnavailableError


class BusyError(UnavailableError):
    """It is there, and works for us."""


class Store:
    """Answers at the end of its errors; each call takes so many seconds."""

    def __init__(self, *errors: Exception, seconds: float = 1.0) -> None:
        self._errors = list(errors)
        self._seconds = seconds
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def ask(self) -> str:
        self.now += self._seconds
        if self._errors:
            raise self._errors.pop(0)
        return "answer"


def away(seconds: float = 0.0001) -> UnavailableError:
    return UnavailableError("it is away", retry_after=seconds)


async def test_who_has_answered_is_waited_for_and_heard_of_once_it_is_back() -> None:
    said: list[str | None] = []
    store = Store()
    retry = StoreRetry(said.append, monotonic=store.clock)
    assert await retry.until_available(store.ask) == "answer"
    store._errors = [away(), away()]
    assert await retry.until_available(store.ask) == "answer"
    assert said == ["it is away", "it is away", None]


async def test_who_is_away_for_more_than_ten_minutes_is_waited_for_no_longer() -> None:
    store = Store(seconds=200)
    retry = StoreRetry(lambda _: None, monotonic=store.clock)
    await retry.until_available(store.ask)
    store._errors = [away() for _ in range(9)]
    with pytest.raises(UnavailableError, match="it is away"):
        await retry.until_available(store.ask)
    assert len(store._errors) == 5


async def test_who_never_answered_is_not_waited_for_unless_it_says_that_it_works() -> None:
    store = Store(away())
    with pytest.raises(UnavailableError, match="it is away"):
        await StoreRetry(lambda _: None, monotonic=store.clock).until_available(store.ask)
    busy = Store(*(BusyError("an index is being built", retry_after=0.0001) for _ in range(3)), seconds=900)
    assert (
        await StoreRetry(lambda _: None, works=(BusyError,), monotonic=busy.clock).until_available(busy.ask) == "answer"
    )


async def test_a_defect_is_not_tried_again() -> None:
    store = Store()
    retry = StoreRetry(lambda _: None, monotonic=store.clock)
    await retry.until_available(store.ask)
    store._errors = [ValueError("broken")]
    with pytest.raises(ValueError, match="broken"):
        await retry.until_available(store.ask)
