"""Who gets which version, by a real HAProxy that reads its maps when it is started: as core.versions says."""

import asyncio
import base64
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from controller import maps
from controller.figures import read
from controller.maps import Person
from core.faults import STATUSES, Fault
from core.versions import Route, bucket_of, changed, first_route
from tests.conftest import WAIT_SECONDS, eventually
from tests.haproxy.apps import APP, FakeApp, fake_app
from tests.haproxy.dns import fake_dns
from tests.haproxy.nodes import FakeNode, NodePorts
from tests.haproxy.running import ROUTES, Proxy, haproxy
from tests.haproxy.test_configurations import check
from tests.mqtt.wire import connect

SLOTS = {APP: 3, "broker": 2, "api": 1}
PLACES = {f"{APP}/1": 1, f"{APP}/2": 2, "broker/0": 19, "broker/next": 20, "api/0": 17}
PERSONS = [f"visitor-{number}" for number in range(1000)]
"""Fixed: random ones would differ by more than 3 points once in fifty times."""
ODD = ["ann", "Ann", "a/b", "x" * 128, "10.0.0.1", "ann@example.org", "a|b", "%41", "a b"]
KEY = f"ck_0123456789abcdef_{'A' * 43}"
BASIC = f"Basic {base64.b64encode(f'x:{KEY}'.encode()).decode()}"
HALF = changed(first_route(APP, "1"), shares={"1": 50, "2": 50})


class Two:
    """HAProxy with version 1 at place 1 and version 2 at place 2."""

    def __init__(self, proxy: Proxy, first: FakeApp, second: FakeApp, session: aiohttp.ClientSession) -> None:
        self.proxy = proxy
        self.first = first
        self.second = second
        self._session = session

    async def put_in(self) -> None:
        """Both, and wait until they are up."""
        for place, app in ((1, self.first), (2, self.second)):
            server = f"set server place-{place:02}/s1"
            await self.proxy.command(f"{server} addr 127.0.0.1 port {app.port}; {server} state ready")

    async def ask(
        self, headers: Mapping[str, str] | None = None, path: str = f"/apps/{APP}/latest"
    ) -> tuple[int, str, str]:
        """Status, what the answer says its version is, and what its header says."""
        url = f"http://127.0.0.1:{self.proxy.ports['HTTP_PORT']}{path}"
        async with self._session.get(url, headers=headers) as answer:
            return answer.status, await answer.text(), answer.headers.get("X-Campus-App-Version", "")

    async def version(self, **headers: str) -> str:
        """The version that somebody gets."""
        status, said, header = await self.ask({name.replace("_", "-"): value for name, value in headers.items()})
        assert status == 200
        assert header == said
        return said

    async def versions(self, persons: Sequence[str]) -> list[str]:
        """The versions of many."""
        some = asyncio.Semaphore(20)

        async def one(person: str) -> str:
            async with some:
                return await self.version(X_Campus_Client=person)

        return await asyncio.gather(*map(one, persons))


Start = Callable[..., Awaitable[Two]]


def write(folder: Path, routes: Mapping[str, Route], people: Sequence[Person] = ()) -> None:
    folder.mkdir(exist_ok=True)
    lines = {
        "apps": maps.apps(SLOTS),
        "shares": maps.shares(routes, SLOTS, PLACES),
        "forced": maps.forced(routes, PLACES),
        "groups": maps.groups(routes, PLACES),
        "persons": maps.persons(people),
        "faults": [],
    }
    for name, found in lines.items():
        maps.write(folder, name, found)


@pytest.fixture
async def start_two(ports: NodePorts) -> AsyncIterator[Start]:
    """Starts HAProxy with the maps of a rule, and two versions behind it."""
    async with AsyncExitStack() as stack:

        async def started(route: Route, people: Sequence[Person] = (), **environment: str) -> Two:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campus-haproxy-")))
            write(folder / "routes", {route.app: route}, people)
            first = await stack.enter_async_context(fake_app("1"))
            second = await stack.enter_async_context(fake_app("2"))
            api = {"API_HOST": "127.0.0.1", "API_PORT": str(ports.ops)}
            proxy = await stack.enter_async_context(haproxy(folder, api | environment))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            two = Two(proxy, first, second, session)
            await two.put_in()
            return two

        yield started


async def test_of_a_thousand_persons_a_fifth_gets_the_second_version_just_those_that_the_broker_says(
    start_two: Start,
) -> None:
    route = changed(first_route(APP, "1"), shares={"1": 80, "2": 20})
    two = await start_two(route)

    found = await two.versions(PERSONS)

    assert found == [route.version_for(person) for person in PERSONS]
    assert Counter(found)["2"] == 201


async def test_a_person_gets_the_same_version_again_and_again(start_two: Start) -> None:
    two = await start_two(HALF)
    found = {person: {*await two.versions([person] * 5)} for person in PERSONS[:40]}
    assert {len(versions) for versions in found.values()} == {1}


async def test_odd_names_are_the_same_person_to_haproxy_and_to_the_broker(start_two: Start) -> None:
    two = await start_two(HALF)
    assert await two.versions(ODD) == [HALF.version_for(person) for person in ODD]


async def test_who_had_the_second_version_keeps_it_when_its_share_grows(start_two: Start) -> None:
    fifth = changed(first_route(APP, "1"), shares={"1": 80, "2": 20})
    half = changed(fifth, shares={"1": 50, "2": 50})
    assert await (await start_two(fifth)).versions(PERSONS[:300]) == [fifth.version_for(p) for p in PERSONS[:300]]
    after = await (await start_two(half)).versions(PERSONS[:300])
    assert after == [half.version_for(person) for person in PERSONS[:300]]
    assert all(new == "2" for person, new in zip(PERSONS, after, strict=False) if fifth.version_for(person) == "2")


RULED = changed(
    first_route(APP, "1"),
    shares={"1": 100, "2": 0},
    users={"ann": "2", "bert": "1"},
    roles={"mobile": "2"},
    headers={"X-Campus-Group": {"testers": "2"}, "X-Campus-Version": {"1": "1", "2": "2"}},
)
PEOPLE = [Person("0123456789abcdef", sha256(KEY.encode()).hexdigest(), "carl", "mobile")]


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({"X-Campus-Client": "somebody"}, "1"),
        ({"X-Campus-Client": "ann"}, "2"),
        ({"Cookie": "campus_client=ann"}, "2"),
        ({"X-Campus-Group": "testers"}, "2"),
        ({"X-Campus-Group": "nobody"}, "1"),
        ({"X-Campus-Version": "2"}, "2"),
        ({"X-Campus-Version": "3"}, "1"),
        ({"X-Campus-Version": "1", "X-Campus-Group": "testers"}, "1"),
        ({"X-Campus-Client": "bert", "X-Campus-Version": "2"}, "1"),
        ({"Authorization": f"Bearer {KEY}"}, "2"),
        ({"X-API-Key": KEY}, "2"),
        ({"Authorization": BASIC}, "2"),
        ({"Authorization": BASIC, "X-API-Key": "another"}, "1"),
        ({"Authorization": f"Basic {base64.b64encode(b'x:another').decode()}", "X-API-Key": KEY}, "2"),
        ({"Authorization": f"Bearer {KEY}", "X-API-Key": "another"}, "2"),
        ({"Authorization": f"Bearer {KEY}", "X-Campus-Version": "1"}, "1"),
        ({"Authorization": "Bearer another"}, "1"),
    ],
    ids=[
        "anybody",
        "a user",
        "by cookie",
        "a group",
        "another group",
        "asked for",
        "asked for what is not",
        "version before group",
        "user before header",
        "a role",
        "a role, key in a header",
        "a role, key as a password",
        "the header before the password",
        "the header instead of the password",
        "Bearer before the header",
        "header before role",
        "no key of ours",
    ],
)
async def test_users_come_before_headers_and_headers_before_roles(
    start_two: Start, headers: dict[str, str], version: str
) -> None:
    two = await start_two(RULED, PEOPLE)
    assert await two.ask(headers) == (200, version, version)


async def test_a_key_of_a_user_is_that_user_whatever_the_request_says_beside(start_two: Start) -> None:
    route = changed(first_route(APP, "1"), shares={"1": 100, "2": 0}, users={"carl": "2", "bert": "1"})
    two = await start_two(route, PEOPLE)
    assert await two.version(Authorization=f"Bearer {KEY}", X_Campus_Client="bert") == "2"


async def test_an_application_sees_no_keys_and_haproxy_logs_no_persons(start_two: Start) -> None:
    two = await start_two(RULED, PEOPLE)
    await two.version(Authorization=f"Bearer {KEY}", X_API_Key=KEY, X_Campus_Client="a-person")
    await two.version(X_Campus_Client="a-person")
    (request,) = two.second.asked
    assert {"Authorization", "X-API-Key"} & set(request.headers) == set()
    await two.proxy.logged(event="request", backend="place-01")
    assert b"a-person" not in two.proxy.log.read_bytes()
    assert b"carl" not in two.proxy.log.read_bytes()


async def test_an_application_gets_no_service_worker_for_more_than_its_own_path(start_two: Start) -> None:
    two = await start_two(RULED)
    two.first.headers = {"Service-Worker-Allowed": "/", "X-Own": "stays"}
    url = f"http://127.0.0.1:{two.proxy.ports['HTTP_PORT']}"
    async with aiohttp.ClientSession() as session:
        for path in ("worker.js", "%2e%2e/worker.js"):
            async with session.get(URL(f"{url}/apps/{APP}/{path}", encoded=True)) as answer:
                assert (answer.status, answer.headers["X-Own"]) == (200, "stays")
                assert "Service-Worker-Allowed" not in answer.headers


async def test_a_version_that_hangs_takes_its_own_share_of_requests_and_no_other_is_concerned(
    start_two: Start, nodes: tuple[FakeNode, FakeNode], ports: NodePorts
) -> None:
    del nodes  # their /readyz stands for the API
    two = await start_two(RULED, APP_CONNECTIONS="3", API_HOST="127.0.1.1", API_PORT=str(ports.ops))
    two.first.holds = asyncio.Event()
    hanging = [asyncio.create_task(two.ask({"X-Campus-Client": "bert"})) for _ in range(3)]

    async def all_under_way() -> bool:
        return len(two.first.asked) == 3

    await eventually(all_under_way)
    async with asyncio.timeout(WAIT_SECONDS):
        status, said, version = await two.ask({"X-Campus-Client": "bert"})
    assert (status, "APP_CONNECTIONS" in said, version) == (503, True, "1")
    assert await two.ask({"X-Campus-Client": "ann"}) == (200, "2", "2")
    assert (await two.ask(path="/v1/zones"))[0] == 200
    figures = read(await two.proxy.command("show stat -1 6 -1"), await two.proxy.command("show table figures"))
    assert figures[1].errors == 1, "a canary sees it"

    two.first.holds.set()
    assert await asyncio.gather(*hanging) == [(200, "1", "1")] * 3
    assert await two.ask({"X-Campus-Client": "bert"}) == (200, "1", "1")


async def test_however_many_versions_hang_each_other_one_keeps_a_share_and_the_api_the_rest(
    start_two: Start, nodes: tuple[FakeNode, FakeNode], ports: NodePorts
) -> None:
    del nodes  # their /readyz stands for the API
    of_all = {"APP_CONNECTIONS": "100", "APPS_CONNECTIONS": "48"}
    two = await start_two(RULED, **of_all, API_HOST="127.0.1.1", API_PORT=str(ports.ops))
    two.first.holds = two.second.holds = asyncio.Event()
    hanging: list[asyncio.Task[tuple[int, str, str]]] = []

    async def hang(person: str, count: int, asked: list[web.BaseRequest]) -> None:
        hanging.extend(asyncio.create_task(two.ask({"X-Campus-Client": person})) for _ in range(count))

        async def are_there() -> bool:
            return len(asked) == count

        await eventually(are_there)

    async with asyncio.timeout(WAIT_SECONDS):
        await hang("bert", 48, two.first.asked)
        assert (await two.ask({"X-Campus-Client": "bert"}))[0] == 503, "together they have as many as all may"
        await hang("ann", 3, two.second.asked)
        assert (await two.ask({"X-Campus-Client": "ann"}))[0] == 503, "a sixteenth is there for each"
        assert (await two.ask(path="/v1/zones"))[0] == 200

    two.first.holds.set()
    assert {status for status, _, _ in await asyncio.gather(*hanging)} == {200}
    assert (await two.ask({"X-Campus-Client": "bert"}))[0] == 200


async def test_what_nobody_has_a_rule_for_is_no_application_and_what_does_not_run_says_so(start_two: Start) -> None:
    two = await start_two(changed(first_route(APP, "1"), shares={"1": 100}, users={"ann": "3"}))
    assert (await two.ask(path="/apps/unknown/latest"))[0] == 404
    # Its rule and its API are this system's own.
    assert (await two.ask(path="/apps/api/latest"))[0] == 404
    await two.proxy.command("clear map " + str(two.proxy.routes / "shares.map"))
    status, said, _ = await two.ask()
    assert (status, "does not run" in said) == (503, True)


async def test_what_is_no_application_goes_to_the_api_with_and_without_a_rule_for_it(
    start_two: Start, nodes: tuple[FakeNode, FakeNode], ports: NodePorts
) -> None:
    del nodes  # their /readyz stands for the API
    for route, header in ((HALF, ""), (first_route("api", "0"), "0")):
        two = await start_two(route, API_HOST="127.0.1.1", API_PORT=str(ports.ops))
        assert await two.ask(path="/v1/zones") == (200, "", header)


async def test_the_next_api_without_a_backend_is_answered_by_the_present_one(
    start_two: Start, nodes: tuple[FakeNode, FakeNode], ports: NodePorts
) -> None:
    del nodes
    two = await start_two(first_route("api", "0"), API_HOST="127.0.1.1", API_PORT=str(ports.ops))
    shares = two.proxy.routes / "shares.map"
    await two.proxy.command(f"clear map {shares}; add map {shares} 10000:19999 api-next/next")
    assert (await two.ask(path="/v1/zones"))[0] == 200


async def test_figures_have_answers_by_time_and_errors_that_haproxy_gives_itself(start_two: Start) -> None:
    two = await start_two(RULED)
    two.first.status = 500
    for _ in range(3):
        await two.ask({"X-Campus-Client": "somebody"})
    await two.proxy.command("set server place-01/s1 state maint")
    assert (await two.ask({"X-Campus-Client": "somebody"}))[0] == 503

    async def counted() -> bool:
        figures = read(await two.proxy.command("show stat -1 6 -1"), await two.proxy.command("show table figures"))
        return (figures[1].answers, figures[1].errors, sum(figures[1].by_time)) == (4, 4, 3)

    await eventually(counted)


async def test_clients_of_the_broker_are_shared_out_by_user_and_client_id(
    nodes: tuple[FakeNode, FakeNode], ports: NodePorts
) -> None:
    present, following = nodes
    route = changed(first_route("broker", "0"), shares={"0": 70, "next": 30}, users={"ann": "next"})
    async with fake_dns(present.address) as dns:
        dns.named["broker-next"] = [following.address]
        with tempfile.TemporaryDirectory(prefix="campus-haproxy-") as folder:
            write(Path(folder) / "routes", {"broker": route})
            environment = {
                "BROKER_FQDN": "broker",
                "BROKER_NEXT_FQDN": "broker-next",
                "BROKER_PORT": str(ports.mqtt),
                "BROKER_WS_PORT": str(ports.websocket),
                "BROKER_OPS_PORT": str(ports.ops),
                "DNS_ADDR": dns.address,
            }
            async with haproxy(Path(folder), environment) as proxy:

                async def both() -> bool:
                    return bool(await proxy.up("brokers")) and bool(await proxy.up("brokers-next"))

                await eventually(both)
                found = {}
                for number in range(200):
                    client, user = f"client-{number}", f"user-{number}" if number % 2 else None
                    before = len(following.connects)
                    await proxy.ask(connect(client, user=user, password=None if user is None else b"secret"))
                    found[user or client] = "next" if len(following.connects) > before else "0"
                assert found == {person: route.owner_of(bucket_of("broker", person)) for person in found}
                assert 0 < sum(version == "next" for version in found.values()) < 200

                before = len(following.connects)
                await proxy.ask(connect("any", user="ann", password=b"secret"))
                assert len(following.connects) == before + 1


def abort(version: str, status: int, until: int, *, share: float = 1.0) -> Fault:
    return Fault(between=f"front>{APP}/{version}", kind="abort", status=status, share=share, until=until, by="key")


async def test_a_fault_ends_by_the_clock_of_haproxy_and_strikes_its_version_alone(start_two: Start) -> None:
    two = await start_two(RULED, FAULTS="true")
    fault_map = two.proxy.routes / "faults.map"
    lasting, over = round(time.time() * 1000) + 600_000, round(time.time() * 1000) - 1

    def lines(until: int) -> list[str]:
        delay = Fault(between=f"front>{APP}/2", kind="delay", milliseconds=200, until=until, by="key")
        present = [abort("2", 504, until), delay]
        return maps.faults(present, PLACES)

    for line in lines(lasting):
        await two.proxy.command(f"add map {fault_map} {line}")
    began = time.monotonic()
    assert (await two.ask({"X-Campus-Client": "ann"}))[0] == 504
    assert time.monotonic() - began >= 0.2
    assert (await two.ask({"X-Campus-Client": "bert"}))[0] == 200
    assert not two.second.asked

    await two.proxy.command(f"clear map {fault_map}")
    for line in lines(over):
        await two.proxy.command(f"add map {fault_map} {line}")
    assert (await two.ask({"X-Campus-Client": "ann"}))[0] == 200


async def test_a_fault_before_the_api_spares_the_path_at_which_faults_are_ended(
    start_two: Start, nodes: tuple[FakeNode, FakeNode], ports: NodePorts
) -> None:
    del nodes  # their /readyz stands for the API
    two = await start_two(RULED, FAULTS="true", API_HOST="127.0.1.1", API_PORT=str(ports.ops))
    until = round(time.time() * 1000) + 600_000
    for status in STATUSES:
        fault = Fault(between="front>api", kind="abort", status=status, until=until, by="key")
        (line,) = maps.faults([fault], {})
        await two.proxy.command(f"clear map {two.proxy.routes / 'faults.map'}")
        await two.proxy.command(f"add map {two.proxy.routes / 'faults.map'} {line}")
        assert (await two.ask(path="/v1/zones"))[0] == status
        assert (await two.ask(path="/v1/faults"))[0] == 200


async def test_a_fault_of_a_part_of_all_requests_strikes_a_part(start_two: Start) -> None:
    two = await start_two(RULED, FAULTS="true")
    (line,) = maps.faults([abort("1", 503, round(time.time() * 1000) + 600_000, share=0.5)], PLACES)
    await two.proxy.command(f"add map {two.proxy.routes / 'faults.map'} {line}")
    found = Counter([(await two.ask({"X-Campus-Client": "bert"}))[0] for _ in range(200)])
    # Fewer than 50 or more than 150 of 200 come about once in 10^12 times.
    assert set(found) == {200, 503}
    assert 50 < found[503] < 150


async def test_without_faults_no_map_can_bring_one_about(start_two: Start) -> None:
    folder_line = maps.faults([abort("1", 503, round(time.time() * 1000) + 600_000)], PLACES)
    two = await start_two(RULED)
    maps.write(two.proxy.routes, "faults", folder_line)
    assert "faults.map" not in await two.proxy.command("show map")
    assert (await two.ask({"X-Campus-Client": "bert"}))[0] == 200


@pytest.mark.parametrize("name", [name for name in maps.NAMES if name != "faults"])
def test_a_map_that_is_missing_is_said_at_the_start(tmp_path: Path, name: str) -> None:
    write(tmp_path, {APP: HALF})
    (tmp_path / f"{name}.map").unlink()
    code, said = check({"ROUTES_FOLDER": str(tmp_path)})
    assert code == 1
    assert f"{name}.map" in said


def test_a_map_with_a_key_that_is_no_number_is_said_at_the_start(tmp_path: Path) -> None:
    write(tmp_path, {APP: HALF})
    maps.write(tmp_path, "shares", ["thirty place-01/1"])
    code, said = check({"ROUTES_FOLDER": str(tmp_path)})
    assert code == 1
    assert "thirty" in said


def test_the_maps_that_are_shipped_are_those_that_the_controller_writes() -> None:
    assert sorted(path.name for path in ROUTES.iterdir()) == sorted(f"{name}.map" for name in maps.NAMES)


@pytest.mark.parametrize("more", [{}, {"BROKER_FQDN": "b", "API_FQDN": "a"}], ids=["laptop", "container"])
@pytest.mark.parametrize("next_version", [{}, {"BROKER_NEXT_FQDN": "bn", "API_NEXT_FQDN": "an"}], ids=["", "next"])
@pytest.mark.parametrize("faults", ["true", "false", ""])
def test_the_configuration_is_valid_with_next_versions_and_faults(
    more: dict[str, str], next_version: dict[str, str], faults: str
) -> None:
    assert check(more | next_version | {"FAULTS": faults}) == (0, "")
