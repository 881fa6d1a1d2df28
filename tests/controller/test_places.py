"""Which version has which place, and what HAProxy is told of its servers."""

import pytest
from redis.asyncio import Redis

from controller.places import Placer, Server, assign, backend_of, fill, place_of, servers
from core.versions import changed, first_route
from state.apps import AppStore, Instance

HOUR_MS = 3_600_000
APP = "update-schuman"


def instance(version: str, address: str, *, app: str = APP, healthy: bool = True, since: int = 1) -> Instance:
    return Instance(app=app, version=version, name=address, address=address, port=8000, healthy=healthy, since=since)


def server(name: str, address: str = "", *, sessions: int = 0, place: int = 2) -> Server:
    return Server(place, name, address or "127.0.0.1:1", bool(address), sessions)


@pytest.mark.parametrize(
    ("place", "backend"), [(1, "place-01"), (16, "place-16"), (17, "api"), (18, "api-next"), (20, "brokers-next")]
)
def test_a_place_has_a_backend_of_haproxy(place: int, backend: str) -> None:
    assert backend_of(place) == backend
    assert place_of(backend) == place


def test_a_backend_that_is_no_place_has_none() -> None:
    assert [place_of(name) for name in ("websockets", "place-17", "figures")] == [None, None, None]


def test_who_is_new_gets_the_first_free_place_and_nobody_moves() -> None:
    assert assign({"a/1": 1, "b/1": 3}, {"a/1", "a/2", "c/1"}, []) == {"a/1": 1, "b/1": 3, "a/2": 2, "c/1": 4}


def test_api_and_broker_have_backends_of_their_own() -> None:
    wanted = {"api/0.2.0", "api/next", "broker/0.2.0", "broker/next"}
    assert assign({}, wanted, []) == {"api/0.2.0": 17, "api/next": 18, "broker/0.2.0": 19, "broker/next": 20}


def test_without_a_free_place_the_one_that_was_idle_longest_leaves_and_then_there_is_none() -> None:
    full = {f"a/{number}": number for number in range(1, 17)}
    after = assign(full, {"b/1", "b/2"}, ["a/7"])
    assert after == {name: place for name, place in full.items() if name != "a/7"} | {"b/1": 7}


async def test_what_nobody_runs_keeps_its_place_for_an_hour_unless_people_are_meant_to_get_it(
    redis_client: Redis,
) -> None:
    store, now = AppStore(redis_client), 1_000
    placer = Placer(store=store, clock=lambda: now)
    await store.put(first_route(APP, "1"), replaces=0, by="key", at=1, why="")
    await placer.settle([instance("1", "10.0.0.1"), instance("2", "10.0.0.2")])
    assert await store.places() == {f"{APP}/1": 1, f"{APP}/2": 2}

    now += HOUR_MS - 1
    await placer.settle([])
    assert await store.places() == {f"{APP}/1": 1, f"{APP}/2": 2}

    now += 1
    await placer.settle([])
    assert await store.places() == {f"{APP}/1": 1}


async def test_a_version_that_comes_back_has_its_hour_anew(redis_client: Redis) -> None:
    store, now = AppStore(redis_client), 1_000
    placer = Placer(store=store, clock=lambda: now)
    for _ in range(3):
        await placer.settle([instance("1", "10.0.0.1")])
        now += HOUR_MS - 1
        await placer.settle([])
    assert await store.places() == {f"{APP}/1": 1}


async def test_nothing_is_written_while_nothing_changes(redis_client: Redis) -> None:
    store = AppStore(redis_client)
    placer = Placer(store=store, clock=lambda: 1)
    for _ in range(3):
        await placer.settle([instance("1", "10.0.0.1")])
    assert await store.number() == 1


def test_an_instance_gets_an_empty_server() -> None:
    assert fill([server("s1"), server("s2")], {2: [instance("1", "10.0.0.4")]}) == [
        ("set server place-02/s1 addr 10.0.0.4 port 8000",),
        ("set server place-02/s1 state ready",),
    ]


def test_who_is_not_healthy_yet_is_down_until_haproxy_has_looked() -> None:
    assert fill([server("s1")], {2: [instance("1", "10.0.0.4", healthy=False)]})[-1] == (
        "set server place-02/s1 state ready",
        "set server place-02/s1 health down",
    )


def test_what_is_as_it_should_be_is_left_alone() -> None:
    there = [server("s1"), server("s2", "10.0.0.4:8000"), server("s3", "[fd00::4]:8000")]
    assert fill(there, {2: [instance("1", "fd00::4"), instance("1", "10.0.0.4")]}) == []


def test_an_address_leaves_its_place_before_it_comes_into_another() -> None:
    there = [server("s1", "10.0.0.4:8000", place=3), server("s1", place=1)]
    assert fill(there, {1: [instance("2", "10.0.0.4")]}) == [
        ("set server place-03/s1 state maint",),
        ("set server place-01/s1 addr 10.0.0.4 port 8000",),
        ("set server place-01/s1 state ready",),
    ]


def test_a_server_gets_another_address_only_when_it_is_empty_and_has_no_sessions() -> None:
    leaving = [server("s1", "10.0.0.4:8000"), server("s2", sessions=1)]
    wanted = {2: [instance("1", "10.0.0.5")]}
    assert fill(leaving, wanted) == [("set server place-02/s1 state maint",)]
    assert fill([server("s1"), server("s2", sessions=1)], wanted)[0] == (
        "set server place-02/s1 addr 10.0.0.5 port 8000",
    )


def test_of_more_than_four_the_healthy_and_old_ones_are_in_and_those_that_are_in_stay() -> None:
    five = [instance("1", f"10.0.0.{n}", since=n, healthy=n != 1) for n in range(1, 6)]
    told = fill([server(f"s{n}") for n in range(1, 5)], {2: five})
    assert [line.split()[4] for line, *_ in told if " addr " in line] == [
        "10.0.0.2",
        "10.0.0.3",
        "10.0.0.4",
        "10.0.0.5",
    ]

    there = [server(f"s{n}", f"10.0.0.{n}:8000") for n in range(1, 5)]
    assert fill(there, {2: five}) == []


def test_servers_are_read_from_what_haproxy_counts_and_those_of_other_backends_are_not_ours() -> None:
    answer = (
        "# pxname,svname,scur,status,addr,\n"
        "api,api,0,UP,127.0.0.1:8081,\n"
        "place-02,s1,3,UP,10.0.0.4:8000,\n"
        "place-02,s2,0,MAINT,127.0.0.1:1,\n"
        "place-02,BACKEND,3,UP,,\n\n"
    )
    assert servers(answer) == [
        Server(2, "s1", "10.0.0.4:8000", open=True, sessions=3),
        Server(2, "s2", "127.0.0.1:1", open=False, sessions=0),
    ]


async def test_a_version_that_only_a_rule_names_keeps_its_place(redis_client: Redis) -> None:
    store, now = AppStore(redis_client), 1_000
    placer = Placer(store=store, clock=lambda: now)
    route = first_route(APP, "1")
    await store.put(route, replaces=0, by="key", at=1, why="")
    await store.put(changed(route, shares={"1": 100}, users={"ann": "2"}), replaces=1, by="key", at=1, why="")
    await placer.settle([instance("1", "10.0.0.1"), instance("2", "10.0.0.2")])
    now += 2 * HOUR_MS
    await placer.settle([])
    assert await store.places() == {f"{APP}/1": 1, f"{APP}/2": 2}
