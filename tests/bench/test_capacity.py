"""The model adds up: what it says of a campus whose unit costs are round numbers."""

from bench.capacity.model import Campus, limits, plan
from bench.capacity.units import Curve, Units, load_units

UNITS = Units(
    append_us=Curve([(1, 10.0), (1000, 2.0)]),
    entry_messages=Curve([(1, 1.0), (1000, 100.0)]),
    observe_us=Curve([(1, 20.0), (100, 8.0)]),
    decoder_us=Curve([(1, 30.0)]),
    archive_us=20.0,
    node_us=Curve([(1, 100.0)]),
    node_idle=0.0,
    node_idle_redis=0.0,
    connect_us=50.0,
    connection_node_bytes=2000.0,
    connection_redis_bytes=300.0,
    device_minute_bytes=Curve([(1, 2.0)]),
    device_bytes=Curve([(1, 500.0)]),
    look_ms=Curve([(22, 3.0)]),
    window_us=10.0,
    window_redis_us=5.0,
    machine="a round one",
)


def test_a_curve_goes_straight_between_what_was_measured_and_no_further() -> None:
    curve = Curve([(1, 4.0), (100, 1.0)])
    assert [curve(at) for at in (0.1, 1, 10, 100, 1000)] == [4.0, 4.0, 2.0, 1.0, 1.0]


def test_a_small_campus_takes_one_redis_and_two_nodes() -> None:
    found = plan(Campus(devices=2000, every=2.0), UNITS)
    assert (found.masters, found.partitions, found.nodes, found.decoders) == (1, 1, 2, 1)
    # 480 minutes of three days at 2 bytes, 500 bytes for where it is, 300 for its connection.
    assert found.memory_bytes == 2000 * (480 * 3 * 2 + 500 + 300)


def test_a_large_one_takes_a_cluster_whose_nodes_are_bounded_by_their_connections() -> None:
    found = plan(Campus(devices=1_000_000, every=10.0), UNITS)
    assert found.nodes == 50
    assert found.masters >= 3
    assert found.redis_share <= 0.6


def test_what_is_at_its_end_first_comes_first() -> None:
    found = limits(Campus(devices=1000, every=30.0), UNITS)
    assert [limit.devices for limit in found] == sorted(limit.devices for limit in found)
    assert found[0].what.startswith("one Redis")


def test_the_unit_costs_of_the_repository_are_read() -> None:
    assert plan(Campus(devices=20_000, every=30.0), load_units()).masters == 1
