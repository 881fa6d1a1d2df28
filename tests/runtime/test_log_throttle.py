from runtime.log_throttle import LogThrottle


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_line_a_minute_says_how_many_it_stands_for() -> None:
    clock = Seconds()
    throttle = LogThrottle(clock)
    assert [throttle.lets_through("a") for _ in range(5)] == [True, False, False, False, False]
    assert throttle.lets_through("b")
    assert throttle.held_back("b") == 0
    clock.now += 60
    assert throttle.lets_through("a")
    assert throttle.held_back("a") == 4
    assert throttle.held_back("a") == 0


def test_what_is_held_back_is_told_a_minute_after_its_line_and_once() -> None:
    clock = Seconds()
    throttle = LogThrottle(clock)
    for _ in range(13):
        throttle.lets_through("a")
    assert list(throttle.overdue()) == []
    clock.now += 60
    assert list(throttle.overdue()) == [("a", 12)]
    assert list(throttle.overdue()) == []
    # That was a line, too.
    assert not throttle.lets_through("a")
    assert dict(throttle.rest()) == {"a": 1}
    assert dict(throttle.rest()) == {}


def test_of_more_keys_than_are_remembered_the_number_stays() -> None:
    clock = Seconds()
    throttle = LogThrottle(clock)
    for number in range(1000):
        throttle.lets_through(str(number))
        throttle.lets_through(str(number))
    assert throttle.lets_through("one more")
    assert throttle.lets_through("0"), "it is not remembered"
    assert dict(throttle.overdue()) == {"others": 1000}


def test_what_nobody_asks_for_is_bounded_and_adds_up() -> None:
    clock = Seconds()
    throttle = LogThrottle(clock)
    for number in range(10_000):
        # A thousand new keys a minute, for ten minutes.
        throttle.lets_through(str(number))
        throttle.lets_through(str(number))
        clock.now += 0.06
    held = dict(throttle.rest())
    assert len(held) <= 2001
    assert sum(held.values()) == 10_000


def test_keys_whose_minute_is_over_go_first() -> None:
    clock = Seconds()
    throttle = LogThrottle(clock)
    for number in range(999):
        throttle.lets_through(str(number))
    clock.now += 60
    throttle.lets_through("new")
    throttle.lets_through("another")
    assert not throttle.lets_through("new")
