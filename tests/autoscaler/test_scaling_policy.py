import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.policy import Load, Scaler
from autoscaler.settings import AutoscalerSettings, Bounds
from tests.conftest import NOON

SETTINGS = AutoscalerSettings(
    scale_minimum=2,
    scale_maximum=6,
    scale_cool_down=60,
    scale_hysteresis=0.25,
    broker_connections=1000,
    broker_messages=500,
    decoder_lag=100,
)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scaler(clock: Clock) -> Scaler:
    return Scaler(settings=SETTINGS, clock=clock)


@pytest.mark.parametrize(
    ("load", "demand"),
    [
        (Load(connections=2500, messages=100), 2.5),
        (Load(connections=100, messages=1500), 3.0),
        (Load(connections=500), 0.5),
        (Load(messages=0), 0.0),
        (Load(lag=10_000), None),
    ],
)
def test_brokers_follow_connections_or_messages_whichever_asks_for_more(load: Load, demand: float | None) -> None:
    assert load.brokers(SETTINGS) == demand


@pytest.mark.parametrize(("load", "demand"), [(Load(lag=250), 2.5), (Load(lag=0), 0.0), (Load(connections=9), None)])
def test_decoders_follow_what_waits_for_them(load: Load, demand: float | None) -> None:
    assert load.decoders(SETTINGS) == demand


@pytest.mark.parametrize(
    ("running", "demand", "wanted"),
    [(2, 2.0, 2), (2, 2.01, 3), (2, 4.5, 5), (2, 600.0, 6), (0, 0.0, 2), (1, 1.0, 2), (9, 9.0, 6), (2, 0.0, 2)],
)
def test_more_come_at_once_and_the_limits_hold(scaler: Scaler, running: int, demand: float, wanted: int) -> None:
    assert scaler.decide(running=running, demand=demand) == wanted


def test_more_come_during_the_cool_down_too(scaler: Scaler, clock: Clock) -> None:
    assert scaler.decide(running=2, demand=2.5) == 3
    clock.advance(1)
    assert scaler.decide(running=3, demand=3.5) == 4


@pytest.mark.parametrize(("demand", "wanted"), [(2.26, 4), (2.25, 3), (0.0, 3), (3.0, 4), (4.0, 4)])
def test_one_goes_only_if_the_rest_keeps_a_margin(scaler: Scaler, clock: Clock, demand: float, wanted: int) -> None:
    clock.advance(60)
    assert scaler.decide(running=4, demand=demand) == wanted


def test_one_goes_after_each_cool_down_and_not_before(scaler: Scaler, clock: Clock) -> None:
    assert scaler.decide(running=2, demand=5.0) == 5
    clock.advance(59.999)
    assert scaler.decide(running=5, demand=0.0) == 5
    clock.advance(0.001)
    assert scaler.decide(running=5, demand=0.0) == 4
    clock.advance(59.999)
    assert scaler.decide(running=4, demand=0.0) == 4
    clock.advance(0.001)
    assert scaler.decide(running=4, demand=0.0) == 3


def test_a_load_that_swings_around_a_threshold_changes_nothing(scaler: Scaler, clock: Clock) -> None:
    assert scaler.decide(running=2, demand=2.1) == 3
    for swing in range(20):
        clock.advance(600)
        assert scaler.decide(running=3, demand=1.9 if swing % 2 else 2.1) == 3


def test_what_cannot_be_read_changes_nothing_but_the_limits_hold(scaler: Scaler) -> None:
    assert [scaler.decide(running=running, demand=None) for running in (0, 2, 4, 9)] == [2, 2, 4, 6]


@settings(max_examples=100)
@given(st.lists(st.floats(0, 12), min_size=1, max_size=40))
def test_a_day_of_any_load_stays_within_the_limits_and_never_falls_twice_in_one_cool_down(demands: list[float]) -> None:
    clock = Clock()
    scaler = Scaler(settings=SETTINGS, clock=clock)
    running, last_change = 2, None
    for demand in demands:
        clock.advance(25)
        wanted = scaler.decide(running=running, demand=demand)
        assert 2 <= wanted <= 6
        assert wanted >= min(demand, 6)
        if wanted < running and last_change is not None:
            assert clock() - last_change >= 60_000
        if wanted != running:
            last_change = clock()
        running = wanted


def test_none_goes_before_the_load_was_looked_at_for_a_cool_down(scaler: Scaler, clock: Clock) -> None:
    assert scaler.decide(running=4, demand=0.0) == 4
    clock.advance(59.999)
    assert scaler.decide(running=4, demand=0.0) == 4
    clock.advance(0.001)
    assert scaler.decide(running=4, demand=0.0) == 3


def test_a_short_dip_takes_none_away_the_load_has_to_be_low_for_all_of_the_cool_down(
    scaler: Scaler, clock: Clock
) -> None:
    scaler.decide(running=2, demand=3.5)
    clock.advance(100)
    scaler.decide(running=4, demand=3.5)
    clock.advance(59.999)
    assert scaler.decide(running=4, demand=0.0) == 4
    clock.advance(0.001)
    assert scaler.decide(running=4, demand=0.0) == 3


def test_a_load_that_is_known_in_part_only_takes_none_away_but_may_ask_for_more(scaler: Scaler, clock: Clock) -> None:
    clock.advance(60)
    assert scaler.decide(running=4, demand=0.0, sure=False) == 4
    assert scaler.decide(running=4, demand=4.5, sure=False) == 5


@pytest.mark.parametrize(
    ("load", "known"),
    [(Load(connections=1, messages=1), True), (Load(connections=1), False), (Load(messages=1), False)],
)
def test_the_load_of_brokers_is_known_where_nothing_is_missing(load: Load, known: bool) -> None:  # noqa: FBT001
    assert load.knows_brokers is known


def test_decoders_have_bounds_of_their_own() -> None:
    chosen = SETTINGS.model_copy(update={"decoder_minimum": 1})
    assert chosen.bounds("decoder") == Bounds(1, 6)
    assert chosen.bounds("broker") == Bounds(2, 6)
    assert Scaler(settings=chosen, clock=Clock(), bounds=chosen.bounds("decoder")).decide(running=1, demand=0.0) == 1
