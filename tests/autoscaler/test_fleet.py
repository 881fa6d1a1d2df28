"""What the autoscaler does with containers, step by step, beside an Engine and a HAProxy in memory."""

from dataclasses import replace

import pytest

from autoscaler.loop import Autoscaler
from autoscaler.metrics import AutoscalerMetrics
from autoscaler.settings import AutoscalerSettings
from tests.autoscaler.fakes import Killed, World, autoscaler_of

SETTINGS = AutoscalerSettings(
    scale_minimum=2,
    scale_maximum=5,
    decoder_minimum=1,
    scale_cool_down=60,
    scale_start_limit=30,
    scale_drain_limit=40,
    broker_connections=1000,
    broker_messages=500,
    decoder_lag=100,
)
TICK = 5


@pytest.fixture
def world() -> World:
    """Two brokers and a decoder, as compose has started them, and nobody connected."""
    world = World()
    for number in (1, 2):
        world.add("broker", number)
    world.add("decoder", 1)
    world.advance(1)
    return world


async def run(autoscaler: Autoscaler, world: World, seconds: float) -> None:
    for _ in range(round(seconds / TICK)):
        await autoscaler.step()
        world.advance(TICK)


def failures(metrics: AutoscalerMetrics, step: str, service: str = "broker") -> float:
    return metrics.registry.get_sample_value("autoscaler_failures_total", {"service": service, "step": step}) or 0.0


async def grown(world: World, connections: int = 3500) -> tuple[Autoscaler, AutoscalerMetrics]:
    """An autoscaler that has started brokers for a load."""
    autoscaler, metrics = autoscaler_of(world, SETTINGS)
    world.connections = connections
    world.advance(1)
    await run(autoscaler, world, 60)
    return autoscaler, metrics


async def test_more_connections_than_the_brokers_carry_start_one_more_at_the_next_look(world: World) -> None:
    autoscaler, _ = autoscaler_of(world, SETTINGS)
    await autoscaler.step()
    assert world.calls == []
    world.connections = 2500
    world.advance(1)
    await autoscaler.step()
    assert world.calls == ["start campus-broker-3"]
    world.advance(TICK)
    await autoscaler.step()
    assert world.calls == ["start campus-broker-3"]


async def test_messages_count_too(world: World) -> None:
    autoscaler, _ = autoscaler_of(world, SETTINGS)
    world.messages = 1900
    await run(autoscaler, world, 15)
    assert world.count("broker") == 4


async def test_decoders_follow_what_waits_for_them_and_end_by_sigterm(world: World) -> None:
    autoscaler, _ = autoscaler_of(world, SETTINGS)
    world.lag = 250
    await run(autoscaler, world, 5)
    assert world.calls == ["start campus-decoder-2", "start campus-decoder-3"]
    world.lag = 0
    world.calls.clear()
    await run(autoscaler, world, 100)
    assert world.calls == ["SIGTERM campus-decoder-3", "remove campus-decoder-3"]


async def test_a_decoder_that_does_not_end_is_stopped_after_15_seconds(world: World) -> None:
    autoscaler, metrics = autoscaler_of(world, SETTINGS)
    world.lag = 150
    await run(autoscaler, world, 5)
    world.lag, world.never_ends = 0, True
    world.calls.clear()
    await run(autoscaler, world, 90)
    assert world.calls == ["SIGTERM campus-decoder-2", "stop campus-decoder-2", "remove campus-decoder-2"]
    assert failures(metrics, "drain", "decoder") == 1


async def test_the_newest_broker_goes_first_out_of_rotation_then_drains_then_is_removed(world: World) -> None:
    autoscaler, _ = await grown(world)
    assert world.count("broker") == 4
    world.calls.clear()
    world.connections = 2000
    await run(autoscaler, world, 70)
    assert world.calls == ["drain brokers/broker-4", "drain websockets/broker-4", "SIGUSR1 campus-broker-4"]
    assert world.names("broker", "running")[-1] == "campus-broker-4"
    await run(autoscaler, world, 30)
    assert world.calls[3:] == ["remove campus-broker-4", "ready brokers/broker-4", "ready websockets/broker-4"]
    assert world.drained == set()
    assert sum(machine.sessions for machine in world.machines.values()) == 2000


async def test_never_below_the_minimum_and_never_above_the_maximum(world: World) -> None:
    autoscaler, _ = await grown(world, connections=100_000)
    assert world.count("broker") == 5
    world.connections = 0
    await run(autoscaler, world, 600)
    assert world.names("broker") == ["campus-broker-1", "campus-broker-2"]


async def test_a_broker_that_was_killed_is_replaced(world: World) -> None:
    autoscaler, _ = autoscaler_of(world, SETTINGS)
    await autoscaler.step()
    del world.machines[next(iter(world.machines))]
    world.advance(TICK)
    await autoscaler.step()
    assert world.calls == ["start campus-broker-3"]


async def test_while_one_is_leaving_there_is_room_for_one_less(world: World) -> None:
    autoscaler, metrics = await grown(world, connections=100_000)
    world.connections = 0
    await run(autoscaler, world, 65)
    assert world.count("broker") == 4
    world.connections = 100_000
    world.calls.clear()
    await run(autoscaler, world, 10)
    assert world.calls == []
    await run(autoscaler, world, 30)
    assert world.count("broker") == 5
    assert failures(metrics, "create") == 0


async def test_a_freed_slot_is_used_again(world: World) -> None:
    autoscaler, _ = await grown(world)
    for _ in range(4):
        world.connections = 0
        await run(autoscaler, world, 300)
        world.connections = 4500
        await run(autoscaler, world, 20)
        assert world.count("broker") == 5
        assert {machine.sessions for machine in world.machines.values() if machine.slot} == {900}


async def test_a_broker_that_does_not_end_is_stopped_when_its_time_is_over(world: World) -> None:
    autoscaler, metrics = await grown(world, connections=2500)
    world.connections, world.never_ends = 0, True
    world.calls.clear()
    await run(autoscaler, world, 140)
    assert world.calls[2:5] == ["SIGUSR1 campus-broker-3", "stop campus-broker-3", "remove campus-broker-3"]
    assert failures(metrics, "drain") == 1


async def test_one_that_never_becomes_healthy_is_removed_and_tried_again_ever_more_seldom(world: World) -> None:
    autoscaler, metrics = autoscaler_of(world, SETTINGS)
    world.never_healthy, world.connections = True, 2500
    world.advance(1)
    await run(autoscaler, world, 600)
    starts = [call for call in world.calls if call.startswith("start")]
    assert 4 <= len(starts) <= 8
    assert failures(metrics, "start") >= 4
    assert len(world.names("broker")) <= 3
    world.never_healthy = False
    await run(autoscaler, world, 400)
    assert world.count("broker") == 3


async def test_brokers_that_are_all_unhealthy_are_left_alone(world: World) -> None:
    """Redis is away, say: then no node is ready, and to replace them would only end their sessions."""
    autoscaler, _ = autoscaler_of(world, SETTINGS)
    world.connections, world.never_healthy = 2500, True
    world.advance(1)
    await run(autoscaler, world, 5)
    for machine in world.machines.values():
        machine.container = replace(machine.container, health="unhealthy")
    world.calls.clear()
    await run(autoscaler, world, 120)
    assert world.calls == []


async def test_what_cannot_be_created_is_tried_again_later(world: World) -> None:
    autoscaler, metrics = autoscaler_of(world, SETTINGS)
    world.refuses_to_create, world.connections = True, 2500
    world.advance(1)
    await run(autoscaler, world, 60)
    assert 2 <= failures(metrics, "create") <= 4
    world.refuses_to_create = False
    await run(autoscaler, world, 60)
    assert world.count("broker") == 3


async def test_the_engine_away_is_said_and_nothing_is_done(world: World) -> None:
    autoscaler, _ = autoscaler_of(world, SETTINGS)
    world.engine_away, world.connections = True, 2500
    await run(autoscaler, world, 20)
    problems = [autoscaler.problem]
    world.engine_away = False
    await run(autoscaler, world, 20)
    problems.append(autoscaler.problem)
    assert problems == ["the Engine is away", None]
    assert world.count("broker") == 3


async def test_while_haproxy_is_away_no_broker_comes_or_goes(world: World) -> None:
    autoscaler, _ = await grown(world)
    world.calls.clear()
    world.haproxy_away, world.connections = True, 0
    await run(autoscaler, world, 300)
    world.messages = 5000
    await run(autoscaler, world, 60)
    assert world.calls == []
    assert autoscaler.problem == "HAProxy is away"


async def test_while_redis_is_away_brokers_are_scaled_and_decoders_stay(world: World) -> None:
    autoscaler, _ = autoscaler_of(world, SETTINGS)
    world.lag, world.connections = None, 2500
    await run(autoscaler, world, 30)
    assert (world.count("broker"), world.count("decoder")) == (3, 1)


async def test_a_dry_run_does_nothing(world: World) -> None:
    autoscaler, _ = autoscaler_of(world, SETTINGS, dry_run=True)
    world.connections, world.lag = 4000, 1000
    await run(autoscaler, world, 60)
    world.connections = world.lag = 0
    await run(autoscaler, world, 600)
    assert world.calls == []


async def test_one_that_drains_by_somebody_elses_hand_is_removed_and_replaced(world: World) -> None:
    autoscaler, _ = autoscaler_of(world, SETTINGS)
    broker = (await world.containers())[1]
    await world.signal(broker, "SIGUSR1")
    world.calls.clear()
    await run(autoscaler, world, 60)
    assert "start campus-broker-3" in world.calls
    assert "remove campus-broker-2" in world.calls
    assert world.count("broker") == 2


@pytest.mark.parametrize("step", range(1, 8))
async def test_killed_at_any_step_it_goes_on_where_it_was(world: World, step: int) -> None:
    """Drain twice, signal, remove, ready twice: after each of them the next process finishes what is half done."""
    autoscaler, _ = await grown(world, connections=2500)
    world.connections = 0
    world.calls.clear()
    world.fail_at = step
    killed = False
    for _ in range(60):
        try:
            await run(autoscaler, world, TICK)
        except Killed:
            killed = True
            world.fail_at = None
            autoscaler, _ = autoscaler_of(world, SETTINGS)
    assert killed == (step <= 6)
    assert world.names("broker") == ["campus-broker-1", "campus-broker-2"]
    assert world.drained == set()


async def test_a_broker_that_was_told_to_drain_by_an_earlier_process_leaves_also_under_load(world: World) -> None:
    world.add("broker", 3)
    world.drained |= {("brokers", 3), ("websockets", 3)}
    world.connections = 1900
    world.advance(1)
    autoscaler, _ = autoscaler_of(world, SETTINGS)
    await run(autoscaler, world, 60)
    assert world.calls[:2] == ["SIGUSR1 campus-broker-3", "remove campus-broker-3"]
    assert world.drained == set()


@pytest.mark.parametrize("state", ["created", "exited"])
async def test_a_clone_that_was_half_made_or_has_ended_is_cleared_away(world: World, state: str) -> None:
    world.add("broker", 3, clone=True)
    machine = list(world.machines.values())[-1]
    world.end(machine.container)
    machine.container = replace(machine.container, state=state)
    autoscaler, _ = autoscaler_of(world, SETTINGS)
    await autoscaler.step()
    assert world.calls == ["remove campus-broker-3"]


async def test_what_compose_has_stopped_stays(world: World) -> None:
    """`docker compose stop broker`: nobody starts them against the will of whoever did that."""
    autoscaler, _ = autoscaler_of(world, SETTINGS)
    for container in await world.containers():
        world.end(container)
    await run(autoscaler, world, 60)
    assert world.calls == []
