"""Three platforms tell the same of the same instances: the gate to Docker, Kubernetes, and files."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from controller.docker_registry import DockerRegistry
from controller.file_registry import FileRegistry
from controller.metrics import ControllerMetrics
from controller.places import Placer
from controller.registry import MAX_INSTANCES, usable
from controller.watching import Watcher
from core.errors import UnavailableError
from core.versions import first_route
from state.apps import RULES, AppStore, Instance
from tests.conftest import NOON
from tests.controller.platforms import APP, PLATFORMS, Platform, serving_kubernetes
from tests.ports import free_port


def instance(version: str, number: int, *, app: str = APP, healthy: bool = True, port: int = 8000) -> Instance:
    return Instance(
        app=app,
        version=version,
        name=f"{app}-{version}-{number}",
        address=f"127.0.0.{number}",
        port=port,
        healthy=healthy,
        since=NOON,
    )


@pytest.fixture(params=PLATFORMS)
async def platform(request: pytest.FixtureRequest) -> AsyncIterator[Platform]:
    async with PLATFORMS[request.param]() as found:
        yield found


async def test_it_tells_what_runs_in_which_version_where_and_how_healthy(platform: Platform) -> None:
    port = free_port()
    running = [
        instance("1", 2, port=port),
        instance("2", 3, port=port, healthy=False),
        instance("2", 4, port=port),
        instance("1", 5, app="zeta", port=port),
    ]
    for each in reversed(running):
        await platform.add(each)
    assert await platform.registry.instances() == running


async def test_where_nothing_runs_it_tells_nothing(platform: Platform) -> None:
    assert await platform.registry.instances() == []


async def test_names_that_cannot_be_used_are_passed_over(platform: Platform) -> None:
    port = free_port()
    well = instance("1", 2, port=port)
    for each in (well, instance("1", 3, app="Update_Schuman", port=port), instance("V2!", 4, port=port)):
        await platform.add(each)
    assert await platform.registry.instances() == [well]


def test_of_more_than_200_the_first_are_seen_and_addresses_are_no_names() -> None:
    many = [instance("1", number) for number in range(1, 252)]
    assert len(usable(many)) == MAX_INSTANCES == 200
    named = Instance(app=APP, version="1", name="x", address="redis", port=6379, healthy=True, since=NOON)
    assert usable([named]) == []


@pytest.mark.parametrize(
    ("address", "since"),
    [("fe80::1%x; clear map #1", NOON), ("fe80::1%eth0", NOON), ("10.0.0.1", -1), ("10.0.0.1", 253_402_300_800_000)],
    ids=["a command as its scope", "a scope", "before 1970", "after the year 9999"],
)
def test_an_address_with_a_scope_and_a_time_that_cannot_be_are_passed_over(address: str, since: int) -> None:
    odd = Instance(app=APP, version="1", name="x", address=address, port=80, healthy=True, since=since)
    assert usable([odd, instance("1", 2)]) == [instance("1", 2)]


async def test_a_gate_that_is_away_or_answers_something_else_is_unavailable() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(UnavailableError, match="does not answer"):
            await DockerRegistry(session=session, url=f"http://127.0.0.1:{free_port()}").instances()


async def test_a_pod_that_ends_is_not_seen_and_one_of_which_nothing_is_said_is_healthy() -> None:
    async with serving_kubernetes() as (double, registry):
        double.add(instance("1", 2), terminating=True)
        double.add(instance("1", 3))
        del double.slices[1]["endpoints"][0]["conditions"]
        assert await registry.instances() == [instance("1", 3)]


async def test_a_slice_without_pods_or_ports_has_none() -> None:
    async with serving_kubernetes() as (double, registry):
        double.add(instance("1", 2))
        double.add(instance("1", 3))
        double.slices[0]["endpoints"] = None
        double.slices[1]["ports"] = None
        assert await registry.instances() == []


async def test_who_has_no_rights_in_kubernetes_reads_why() -> None:
    async with serving_kubernetes(token="another") as (_, registry):  # noqa: S106 - of a double
        with pytest.raises(UnavailableError, match="answers 401"):
            await registry.instances()


async def test_a_file_that_is_half_written_or_too_long_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"app": "update-sch')
    (tmp_path / "long.json").write_text(" " * 5000)
    (tmp_path / "notes.txt").write_text("no instance")
    async with aiohttp.ClientSession() as session:
        assert await FileRegistry(session=session, folder=tmp_path).instances() == []
        assert await FileRegistry(session=session, folder=tmp_path / "missing").instances() == []


# --- what the controller makes of it ----------------------------------------------------------------------------------


class Told:
    """A registry that tells what a test wants."""

    def __init__(self, *instances: Instance) -> None:
        self.told = list(instances)
        self.away = False

    async def instances(self) -> list[Instance]:
        if self.away:
            raise UnavailableError("the gate does not answer")
        return self.told


def watcher(client: Redis, registry: Told, metrics: ControllerMetrics | None = None) -> Watcher:
    return Watcher(
        registry=registry,
        store=AppStore(client),
        placer=Placer(store=AppStore(client), clock=lambda: NOON),
        clock=lambda: NOON,
        every=1,
        metrics=metrics or ControllerMetrics(),
    )


async def test_what_runs_is_said_to_all(redis_client: Redis) -> None:
    metrics = ControllerMetrics()
    running = [instance("1", 2), instance("2", 3, healthy=False)]
    watching = watcher(redis_client, Told(*running), metrics)
    await watching.step()
    seen = await AppStore(redis_client).seen()
    assert seen is not None
    assert (seen.at, seen.instances) == (NOON, tuple(running))
    assert watching.problem is None
    assert (await AppStore(redis_client).places()).keys() == {f"{APP}/1", f"{APP}/2"}
    labels = {"app": APP, "version": "2", "healthy": "false"}
    assert metrics.registry.get_sample_value("controller_instances", labels) == 1


async def test_the_version_that_was_there_first_gets_all_and_a_later_one_nobody(redis_client: Redis) -> None:
    older = Instance(app=APP, version="2", name="b", address="10.0.0.2", port=80, healthy=True, since=NOON - 1)
    registry = Told(instance("1", 2), older)
    watching = watcher(redis_client, registry)
    await watching.step()
    assert await AppStore(redis_client).routes() == {APP: first_route(APP, "2")}
    registry.told.append(instance("3", 4))
    await watching.step()
    assert await AppStore(redis_client).routes() == {APP: first_route(APP, "2")}
    [change] = await AppStore(redis_client).changes(APP, 5)
    assert (change.by, change.why) == ("controller", "2 is the first version that is seen")


async def test_a_rule_that_is_there_stays(redis_client: Redis) -> None:
    store = AppStore(redis_client)
    await store.put(first_route(APP, "9"), replaces=0, by="key", at=NOON, why="mine")
    await watcher(redis_client, Told(instance("1", 2))).step()
    assert await store.routes() == {APP: first_route(APP, "9")}


async def test_a_registry_that_is_away_is_a_problem_until_it_answers(redis_client: Redis) -> None:
    metrics, registry = ControllerMetrics(), Told(instance("1", 2))
    watching = watcher(redis_client, registry, metrics)
    registry.away = True
    await watching.step()
    assert watching.problem == "the gate does not answer"
    assert metrics.registry.get_sample_value("controller_unread_total") == 1
    registry.away = False
    await watching.step()
    assert watching.problem is None


async def test_seventeen_applications_are_one_too_many_and_it_says_so(redis_client: Redis) -> None:
    store, metrics = AppStore(redis_client), ControllerMetrics()
    run = [instance("1", number, app=f"app-{number:02}") for number in range(18)]
    watching = watcher(redis_client, Told(*run), metrics)
    await watching.step()
    assert watching.problem == (
        "16 applications have a rule already: forget one that runs no more, DELETE /v1/apps/{its name}/route "
        "(without one: app-16, app-17)"
    )
    assert len(await store.routes()) == 16
    told = {"app": "app-17", "version": "1", "healthy": "true"}
    assert metrics.registry.get_sample_value("controller_instances", told) == 1


async def test_one_that_finds_no_room_for_its_rule_keeps_no_other_from_its_own(redis_client: Redis) -> None:
    store = AppStore(redis_client)
    for number in range(16):
        await store.put(first_route(f"app-{number:02}", "1"), replaces=0, by="key", at=NOON, why="mine")
    await redis_client.hdel(RULES, "app-03")
    await watcher(redis_client, Told(instance("1", 1, app="late"), instance("1", 2, app="app-03"))).step()
    assert await store.route("app-03") == first_route("app-03", "1")
    assert await store.route("late") is None
