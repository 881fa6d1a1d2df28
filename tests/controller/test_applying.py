"""The controller and a real HAProxy: rules, addresses, figures, and what holds when one of them goes."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis

from controller import maps
from controller.applying import PIECE_BYTES, Applier
from controller.people import People
from controller.places import Placer
from core.errors import UnavailableError
from core.faults import Fault
from core.versions import changed, first_route
from runtime.haproxy_socket import HaproxySocket
from state.api_keys import API_KEYS
from state.apps import SEEN, AppStore, Instance
from state.faults import FaultStore
from state.users import USERS
from tests.conftest import eventually
from tests.haproxy.apps import APP, FakeApp, fake_app
from tests.haproxy.running import Proxy, haproxy

PERSONS = [f"visitor-{number}" for number in range(60)]
HALF = {"1": 50, "2": 50}


class World:
    """Redis, HAProxy, its controller and two versions."""

    def __init__(self, client: Redis, folder: Path, stack: AsyncExitStack) -> None:
        self.client = client
        self.store = AppStore(client)
        self.folder = folder
        self.stack = stack
        self.now = 1_000_000
        self.faults = FaultStore(client)
        self.placer = Placer(store=self.store, clock=lambda: self.now)
        self.applier = self.new_applier()
        self.proxy: Proxy
        self.session: aiohttp.ClientSession
        self.first: FakeApp
        self.second: FakeApp

    def new_applier(self) -> Applier:
        """A controller that was just started."""
        return Applier(
            store=self.store,
            people=People(self.client),
            faults=self.faults,
            socket=HaproxySocket(self.folder / "s"),
            folder=self.folder / "routes",
            name="front",
            every=0.25,
            clock=lambda: self.now,
        )

    async def start_haproxy(self) -> None:
        self.proxy = await self.stack.enter_async_context(haproxy(self.folder, {"FAULTS": "true"}))

    async def kill_haproxy(self) -> None:
        self.proxy.process.kill()
        await self.proxy.process.wait()

    async def see(self, *instances: Instance) -> None:
        """What runs, as the registry says from now on."""
        await self.store.see(self.now, instances)
        await self.placer.settle(instances)

    async def route(self, replaces: int, shares: dict[str, int], **more: dict[str, str]) -> None:
        """A rule, in the place of that with this number."""
        route = await self.store.route(APP) or first_route(APP, "1")
        after = changed(route, shares=shares, users=more.get("users"), roles=more.get("roles"))
        if not replaces:
            after = first_route(APP, "1")
        assert await self.store.put(after, replaces=replaces, by="key", at=1, why="")

    async def step(self, seconds: float = 0.25) -> None:
        """One look of the controller, and what came of it."""
        self.now += round(seconds * 1000)
        await self.applier.step()

    def problem(self) -> str | None:
        """What was in the way at the last look."""
        return self.applier.problem

    async def applied(self) -> None:
        """Look until all is done."""
        await self.step()
        await self.step()
        assert self.problem() is None

    async def ask(self, person: str, **headers: str) -> tuple[int, str]:
        """Status and version."""
        url = f"http://127.0.0.1:{self.proxy.ports['HTTP_PORT']}/apps/{APP}/latest"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(url, headers={"X-Campus-Client": person, **named}) as answer:
            return answer.status, await answer.text()

    async def versions(self) -> list[str]:
        """Which version each of some persons gets."""
        found = [await self.ask(person) for person in PERSONS]
        assert {status for status, _ in found} == {200}
        return [version for _, version in found]

    async def owned(self) -> list[str]:
        """Which version they should get."""
        route = await self.store.route(APP)
        assert route is not None
        return [route.version_for(person) for person in PERSONS]


@pytest.fixture
async def world(redis_client: Redis) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campus-haproxy-")))
        world = World(redis_client, folder, stack)
        world.session = await stack.enter_async_context(aiohttp.ClientSession())
        world.first = await stack.enter_async_context(fake_app("1"))
        world.second = await stack.enter_async_context(fake_app("2"))
        await world.start_haproxy()
        await world.route(0, {})
        await world.see(world.first.instance(), world.second.instance())
        await world.applied()
        yield world


async def test_a_rule_that_is_written_holds_after_one_look(world: World) -> None:
    assert set(await world.versions()) == {"1"}
    await world.route(1, HALF)
    await world.step()
    assert await world.versions() == await world.owned()
    assert set(await world.versions()) == {"1", "2"}


async def test_without_a_change_haproxy_is_told_nothing(world: World) -> None:
    async def versions_of_maps() -> list[str]:
        return [line for line in (await world.proxy.command("show map")).splitlines() if "curr_ver" in line]

    before = await versions_of_maps()
    for _ in range(8):
        await world.step()
    assert await versions_of_maps() == before
    await world.route(1, HALF)
    await world.step()
    changes = [after != then for then, after in zip(before, await versions_of_maps(), strict=True)]
    assert sum(changes) == 1


async def test_a_haproxy_that_was_killed_has_its_shares_from_the_first_request_and_its_servers_after_one_look(
    world: World,
) -> None:
    await world.route(1, HALF, users={"ann": "2"})
    await world.step()
    await world.kill_haproxy()
    await world.step()
    assert world.problem() is not None

    await world.start_haproxy()
    assert (await world.ask("ann"))[0] == 503
    await world.step()
    assert world.problem() is None
    assert await world.ask("ann") == (200, "2")
    assert await world.versions() == await world.owned()


async def test_a_controller_that_was_started_anew_changes_nothing_for_people(world: World) -> None:
    await world.route(1, HALF)
    await world.step()
    world.applier = world.new_applier()
    await world.applied()
    assert await world.versions() == await world.owned()


async def test_what_somebody_has_done_to_haproxy_by_hand_is_mended_within_a_second(world: World) -> None:
    await world.proxy.command("set server place-01/s1 state maint")
    assert (await world.ask("ann"))[0] == 503
    await world.step(seconds=1)
    assert await world.ask("ann") == (200, "1")


async def test_without_redis_all_goes_on_as_before(world: World) -> None:
    await world.route(1, HALF)
    await world.step()
    before = await world.versions()

    async def away() -> int:
        raise UnavailableError("Redis does not answer")

    number, world.store.number = world.store.number, away  # type: ignore[method-assign]
    await world.step(seconds=1)
    assert world.problem() == "Redis does not answer"
    assert await world.versions() == before
    world.store.number = number  # type: ignore[method-assign]
    await world.step()
    assert world.problem() is None


async def test_while_nobody_knows_what_runs_servers_stay(world: World) -> None:
    await world.client.delete(SEEN)
    await world.step(seconds=1)
    assert world.problem() is None
    assert await world.ask("ann") == (200, "1")


async def test_an_instance_that_goes_and_one_that_comes_at_its_address(world: World) -> None:
    await world.see(world.first.instance())
    await world.route(1, {"1": 0, "2": 100})
    await world.step()
    assert (await world.ask("ann"))[0] == 503
    # The container of version 2 has got the address of version 1.
    moved = world.first.instance()
    await world.see(msgspec.structs.replace(moved, version="2", name="another"))
    await world.applied()
    assert await world.ask("ann") == (200, "1")
    assert await _open(world, 1) == []
    assert await _open(world, 2) == [f"127.0.0.1:{world.first.port}"]


async def _open(world: World, place: int) -> list[str]:
    return [
        row["addr"]
        for (backend, server), row in (await world.proxy.statistics()).items()
        if backend == f"place-{place:02}" and server != "BACKEND" and not row["status"].startswith("MAINT")
    ]


async def test_a_new_instance_that_does_not_answer_yet_gets_nobody(world: World) -> None:
    async with fake_app("1") as third:
        third.healthy = False
        await world.see(world.first.instance(), third.instance(healthy=False, since=2), world.second.instance())
        await world.applied()
        assert len(await _open(world, 1)) == 2
        assert {(await world.ask("ann"))[0] for _ in range(20)} == {200}
        assert third.asked == []
        third.healthy = True

        async def comes() -> bool:
            await world.ask("ann")
            return bool(third.asked)

        await eventually(comes)


async def test_a_request_that_is_under_way_is_answered_by_an_instance_that_leaves(world: World) -> None:
    world.first.holds = asyncio.Event()
    asking = asyncio.create_task(world.ask("ann"))

    async def arrived() -> bool:
        return bool(world.first.asked)

    await eventually(arrived)
    await world.see(world.second.instance())
    await world.step()
    assert await _open(world, 1) == []
    world.first.holds.set()
    assert await asking == (200, "1")


async def test_more_lines_than_one_command_takes_all_arrive(world: World) -> None:
    users = {f"user-{number:04}-{'x' * 40}": "2" for number in range(1000)}
    assert sum(len(user) for user in users) > 4 * PIECE_BYTES
    await world.route(1, {"1": 100, "2": 0}, users=users)
    await world.step()
    assert world.problem() is None
    assert await world.ask(f"user-0999-{'x' * 40}") == (200, "2")
    assert await world.ask("somebody") == (200, "1")


async def test_a_key_stands_for_its_user_with_his_role_and_is_forgotten_with_him(world: World) -> None:
    text = f"ck_0123456789abcdef_{'A' * 43}"
    key_hash = sha256(text.encode()).hexdigest()
    await world.client.hset(
        API_KEYS,
        "0123456789abcdef",
        f'{{"id":"0123456789abcdef","name":"n","scopes":["admin"],"hash":"{key_hash}","created_at":1,"user":"carl"}}',
    )
    await world.client.hset(USERS, "carl", '{"name":"carl","role":"mobile","password":"p"}')
    await world.route(1, {"1": 100, "2": 0}, roles={"mobile": "2"})
    await world.step(seconds=1)
    assert await world.ask("somebody", Authorization=f"Bearer {text}") == (200, "2")

    await world.client.delete(API_KEYS)
    await world.step(seconds=1)
    assert await world.ask("somebody", Authorization=f"Bearer {text}") == (200, "1")


async def test_figures_are_told_by_place_and_begin_anew_with_haproxy(world: World) -> None:
    for _ in range(3):
        await world.ask("ann")

    async def counted() -> int:
        await world.step(seconds=1)
        return (await world.store.figures(world.now))["front"].places[1].answers

    async def three() -> bool:
        return await counted() == 3

    await eventually(three)
    before = (await world.store.figures(world.now))["front"]
    await world.kill_haproxy()
    await world.start_haproxy()
    assert await counted() == 0
    assert (await world.store.figures(world.now))["front"].started_at > before.started_at


async def test_a_fault_is_put_and_taken_back(world: World) -> None:
    fault = Fault(between=f"front>{APP}/1", kind="abort", status=502, until=99_999_999_999_999, by="key")
    await world.faults.replace([fault], now=world.now)
    await world.step()
    assert (await world.ask("ann"))[0] == 502
    await world.faults.replace([], now=world.now)
    await world.step()
    assert (await world.ask("ann"))[0] == 200


async def test_a_folder_that_cannot_be_written_to_is_said_and_haproxy_is_told_nothing(world: World) -> None:
    world.applier._folder = world.folder / "nowhere"
    await world.route(1, {"1": 0, "2": 100})
    await world.step()
    assert "nowhere" in (world.problem() or "")
    assert set(await world.versions()) == {"1"}


async def test_a_map_that_haproxy_took_in_part_is_said_and_nothing_of_it_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.route(1, {"1": 100, "2": 0}, users={"ann": "2"})
    await world.step()
    monkeypatch.setattr(maps, "forced", lambda *_: ["bert place-02/2", "carl place-02/2", "without-a-value"])
    for _ in range(3):
        await world.step(seconds=1)
        assert (world.problem() or "").startswith("HAProxy does not take lines of forced.map: ")
    entries = [line for line in (await world.proxy.command("show map")).splitlines() if "forced.map" in line]
    assert [" entry_cnt=1" in line for line in entries] == [True]
    assert await world.ask("ann") == (200, "2")


async def test_a_haproxy_without_a_map_is_said(world: World) -> None:
    maps_of_it = await world.proxy.command("show map")
    without = "".join(line for line in maps_of_it.splitlines(keepends=True) if "forced.map" not in line)

    class Older(HaproxySocket):
        async def ask(self, *commands: str, payload: str = "") -> str:
            return without if commands == ("show map",) else await super().ask(*commands, payload=payload)

    world.applier._socket = Older(world.folder / "s")
    await world.route(1, HALF, users={"ann": "2"})
    await world.step()
    assert (world.problem() or "").startswith("HAProxy has no forced.map: start it with")


async def test_what_is_not_printable_comes_neither_into_a_file_nor_to_haproxy(world: World) -> None:
    await world.route(1, HALF, roles={"x\n\nclear map #1": "2"})
    before = (world.folder / "routes" / "groups.map").read_text()
    await world.step()
    assert (world.problem() or "").startswith(f"groups.map would have '{APP}/role=x\\n\\nclear map #1 place-02/2'")
    assert (world.folder / "routes" / "groups.map").read_text() == before


async def test_an_address_in_redis_that_is_none_gets_no_server(world: World) -> None:
    evil = msgspec.structs.replace(
        world.second.instance(), address="127.0.0.1 port 1; set server place-01/s1 state maint"
    )
    await world.see(world.first.instance(), evil)
    await world.applied()
    assert await _open(world, 2) == []
    assert await world.ask("ann") == (200, "1")


async def test_a_haproxy_that_is_not_there_is_said(world: World, tmp_path: Path) -> None:
    world.applier._socket = HaproxySocket(tmp_path / "none")
    await world.step()
    assert "HAProxy does not answer" in (world.problem() or "")
