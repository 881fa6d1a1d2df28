"""A day of campus traffic in fast motion: the number of brokers follows the load."""

import itertools
import math

import pytest

from autoscaler.settings import AutoscalerSettings
from tests.autoscaler.fakes import World, autoscaler_of

SETTINGS = AutoscalerSettings(
    scale_minimum=2, scale_maximum=6, decoder_minimum=1, scale_cool_down=300, broker_connections=5000
)
TICK = 15
HOUR = 3600
# Hour of the day, and open connections then; in between, a straight line.
DAY = [(0, 600), (6, 900), (8, 4000), (9, 21_000), (10, 17_000), (12, 18_000), (13, 26_000), (14, 16_000)]
DAY += [(17, 14_000), (18, 9000), (20, 5000), (22, 1500), (24, 600)]


def connections_at(hour: float) -> int:
    for (begin, low), (end, high) in itertools.pairwise(DAY):
        if begin <= hour <= end:
            # Phones come and go: some two in a hundred, up and down.
            swing = 1 + 0.02 * math.sin(hour * 60)
            return round((low + (high - low) * (hour - begin) / (end - begin)) * swing)
    raise AssertionError(hour)


def plot(samples: list[tuple[float, int, int]]) -> str:
    lines = ["hour  connections  brokers"]
    lines += [f"{hour:4.1f}  {connections:11,}  {'#' * brokers}" for hour, connections, brokers in samples]
    return "\n".join(lines)


async def test_the_number_of_brokers_follows_a_day_of_traffic(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    for number in (1, 2):
        world.add("broker", number)
    world.add("decoder", 1)
    world.connections = connections_at(0)
    world.advance(1)
    autoscaler, metrics = autoscaler_of(world, SETTINGS)
    begin = world.clock()
    history: list[tuple[float, int, int]] = []
    for _ in range(24 * HOUR // TICK):
        hour = (world.clock() - begin) / HOUR / 1000
        world.connections = connections_at(min(hour, 24))
        world.messages = world.connections / 5
        await autoscaler.step()
        world.advance(TICK)
        history.append((hour, world.connections, world.count("broker")))

    with capsys.disabled():
        print(f"\n{plot(history[:: HOUR // TICK // 2])}")  # noqa: T201 - the picture is what people want to see

    brokers = [count for _, _, count in history]
    assert min(brokers) == 2
    assert max(brokers) == 6
    # Enough of them all day: at most two looks pass until there is one more.
    for before, (hour, connections, _) in enumerate(history[:-2]):
        needed = min(math.ceil(connections / SETTINGS.broker_connections), 6)
        assert max(brokers[before : before + 3]) >= needed, f"too few at {hour:.2f}"
    # Not more than the load of the last cool-down and its margin ask for, one cool-down and a drain for each step down.
    window = round(3 * SETTINGS.scale_cool_down / TICK)
    for index in range(window, len(history)):
        peak = max(connections for _, connections, _ in history[index - window : index + 1])
        with_margin = peak / SETTINGS.broker_connections / (1 - SETTINGS.scale_hysteresis)
        assert brokers[index] <= max(2, math.ceil(with_margin) + 1), f"too many at {history[index][0]:.2f}"
    # No flapping: up for the morning and for lunch, down after each; a change back within a cool-down never.
    changes = [
        (index, brokers[index] - brokers[index - 1])
        for index in range(1, len(brokers))
        if brokers[index] != brokers[index - 1]
    ]
    turns = sum(first * second < 0 for (_, first), (_, second) in itertools.pairwise(changes))
    assert turns <= 3
    for (earlier, _), (later, change) in itertools.pairwise(changes):
        assert change > 0 or (later - earlier) * TICK >= SETTINGS.scale_cool_down
    assert metrics.registry.get_sample_value(
        "autoscaler_removed_total", {"service": "broker"}
    ) == metrics.registry.get_sample_value("autoscaler_started_total", {"service": "broker"})
    assert world.names("broker") == ["campus-broker-1", "campus-broker-2"]
    assert world.drained == set()
