"""Rules of applications in Redis: one replaces another, or does not."""

import asyncio

import msgspec
import pytest
from redis.asyncio import Redis

from core.versions import Owned, Route, changed, first_route
from state.apps import (
    CANARIES,
    CHANGES,
    FIGURES,
    NUMBER,
    PLACES,
    RULES,
    SEEN,
    SLOTS,
    AppStore,
    Canary,
    Change,
    Counters,
    Figures,
    Instance,
    NoSlotError,
)
from state.faults import FaultStore

APP = "update-schuman"
GAPS = Route(app="odd", number=5, shares={"1": 100}, owned=(Owned(0, 9999, "1"),))
"""A rule that gives one bucket to nobody."""


GARBAGE = (
    b"",
    b"\xc1",
    b"null",
    b"[]",
    b"7",
    b'{"number": "x"}',
    b'{"number": null}',
    b'{"app": "odd", "number": 5, "shares": {"1": 100}, "owned": [[0, 10000, "\xff"]]}',
    b"[" * 5000,
    b'{"x": ' + b"[" * 5000,
)


@pytest.fixture
def store(redis_client: Redis) -> AppStore:
    return AppStore(redis_client)


def canary_of(number: int) -> Canary:
    return Canary(
        app=APP,
        version="2",
        steps=(5, 100),
        hold_seconds=60,
        hold_requests=200,
        slower_by=5,
        by="key",
        started_at=1,
        number=number,
        before={"1": 100},
    )


def number_after(change: Change) -> int:
    return change.after.number if change.after else 0


async def put(store: AppStore, route: Route, *, replaces: int, canary: Canary | None = None) -> bool:
    return await store.put(route, replaces=replaces, by="key", at=5, why="to try it", canary=canary)


async def test_a_rule_replaces_the_one_that_was_read_and_no_other(store: AppStore) -> None:
    first = first_route(APP, "1")
    second = changed(first, shares={"1": 80, "2": 20}, users={"ann": "2"})

    assert await put(store, first, replaces=0)
    assert not await put(store, first, replaces=0)
    assert await put(store, second, replaces=1)
    assert not await put(store, changed(first, shares={"2": 100}), replaces=1)

    assert await store.route(APP) == second
    assert await store.routes() == {APP: second}
    assert await store.number() == 2


async def test_of_two_who_change_a_rule_at_once_one_does(store: AppStore) -> None:
    first = first_route(APP, "1")
    await put(store, first, replaces=0)

    done = await asyncio.gather(*(put(store, changed(first, shares={"1": 99, "2": 1}), replaces=1) for _ in range(5)))

    assert sorted(done) == [False] * 4 + [True]


async def test_each_change_is_kept_with_what_was_before_who_and_why(store: AppStore) -> None:
    first = first_route(APP, "1")
    second = changed(first, shares={"1": 80, "2": 20})
    await put(store, first, replaces=0)
    await put(store, first_route("other", "1"), replaces=0)
    await put(store, second, replaces=1)

    newest, oldest = await store.changes(APP, 10)
    assert (newest.before, newest.after, newest.by, newest.at, newest.why) == (first, second, "key", 5, "to try it")
    assert (oldest.before, oldest.after) == (None, first)
    assert [number_after(change) for change in await store.changes(APP, 1)] == [2]


async def test_the_newest_hundred_changes_are_kept_and_one_is_found_among_those_of_others(
    store: AppStore, redis_client: Redis
) -> None:
    await put(store, first_route("quiet", "1"), replaces=0)
    await put(store, changed(first_route("quiet", "1"), shares={"1": 100}), replaces=1)
    rule = first_route(APP, "1")
    for number in range(98):
        await put(store, rule, replaces=number)
        rule = changed(rule, shares={"1": 100})
    assert [number_after(change) for change in await store.changes("quiet", 1)] == [2]
    assert [number_after(change) for change in await store.changes("quiet", 9)] == [2, 1]
    assert [number_after(change) for change in await store.changes(APP, 20)] == list(range(98, 78, -1))

    await put(store, rule, replaces=98)
    assert [number_after(change) for change in await store.changes("quiet", 9)] == [2]
    assert len(await store.changes(APP, 100)) == 99
    assert await redis_client.xlen(CHANGES) == 100


async def test_of_a_long_log_no_more_is_read_than_is_asked_for(store: AppStore, redis_client: Redis) -> None:
    rule = first_route(APP, "1")
    for number in range(40):
        await put(store, rule, replaces=number)
        rule = changed(rule, shares={"1": 100})
    await redis_client.config_resetstat()
    await store.changes(APP, 1)
    assert (await redis_client.info("commandstats"))["cmdstat_xrevrange"]["calls"] == 1
    await store.changes(APP, 20)
    assert (await redis_client.info("commandstats"))["cmdstat_xrevrange"]["calls"] == 3


async def test_sixteen_applications_have_a_slot_each_and_one_that_is_forgotten_leaves_its_own(store: AppStore) -> None:
    for number in range(16):
        assert await put(store, first_route(f"app-{number}", "1"), replaces=0)
    with pytest.raises(NoSlotError, match="16 applications have a rule already"):
        await put(store, first_route("late", "1"), replaces=0)

    await store.put_places({"app-3/1": 4, "app-5/1": 1})
    assert await store.forget("app-3", replaces=1, by="key", at=6, why="it runs no more")
    assert await put(store, first_route("late", "1"), replaces=0)

    slots = await store.slots()
    assert sorted(slots.values()) == list(range(1, 17))
    assert slots["late"] == 4
    assert await store.places() == {"app-5/1": 1}


async def test_a_rule_that_is_forgotten_is_in_the_log_and_one_that_has_changed_meanwhile_stays(store: AppStore) -> None:
    first = first_route(APP, "1")
    second = changed(first, shares={"1": 80, "2": 20})
    await put(store, first, replaces=0)
    await put(store, second, replaces=1)
    before = await store.number()

    assert not await store.forget(APP, replaces=1, by="key", at=6, why="late")
    assert await store.route(APP) == second
    assert await store.forget(APP, replaces=2, by="key", at=6, why="it runs no more")

    newest, *_ = await store.changes(APP, 10)
    assert (newest.before, newest.after, newest.by, newest.at, newest.why) == (
        second,
        None,
        "key",
        6,
        "it runs no more",
    )
    assert await store.number() == before + 1
    assert await put(store, first, replaces=0)
    assert (await store.changes(APP, 1))[0].before is None


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_a_rule_that_nobody_can_read_is_forgotten_too(
    store: AppStore, redis_client: Redis, garbage: bytes
) -> None:
    await redis_client.hset(RULES, "odd", garbage)
    await redis_client.hset(SLOTS, "odd", "3")

    assert await store.forget("odd", replaces=0, by="key", at=6, why="")

    assert not await redis_client.hexists(RULES, "odd")
    assert await store.slots() == {}
    assert [(change.before, change.after) for change in await store.changes("odd", 9)] == [(None, None)]


async def test_a_canary_is_written_with_its_rule_or_not_at_all(store: AppStore) -> None:
    first = first_route(APP, "1")
    await put(store, first, replaces=0)
    canary = canary_of(2)

    assert not await put(store, changed(first, shares={"1": 95, "2": 5}), replaces=7, canary=canary)
    assert await store.canary(APP) is None
    assert await put(store, changed(first, shares={"1": 95, "2": 5}), replaces=1, canary=canary)
    assert await store.canary(APP) == canary
    assert await store.canaries() == {APP: canary}


@pytest.mark.parametrize("garbage", [*GARBAGE, msgspec.json.encode(GAPS)])
async def test_what_nobody_can_read_is_as_if_there_were_no_rule(
    store: AppStore, redis_client: Redis, garbage: bytes
) -> None:
    await redis_client.hset(RULES, "odd", garbage)
    await put(store, first_route(APP, "1"), replaces=0)

    assert await store.route("odd") is None
    assert set(await store.routes()) == {APP}

    first = first_route("odd", "1")
    assert await put(store, first, replaces=0)
    assert await store.route("odd") == first
    assert not await put(store, first, replaces=0)


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_what_nobody_can_read_of_what_is_known_is_passed_over(
    store: AppStore, redis_client: Redis, garbage: bytes
) -> None:
    await store.count("front-1", Figures(at=1000, started_at=0, places={}))
    await put(store, first_route(APP, "1"), replaces=0, canary=canary_of(1))
    for key in (FIGURES, CANARIES, SLOTS, PLACES):
        await redis_client.hset(key, "odd", garbage or b"x")
    await redis_client.set(SEEN, garbage)

    assert set(await store.figures(1000)) == {"front-1"}
    assert set(await store.canaries()) == {APP}
    assert await store.canary("odd") is None
    assert not await store.tell(msgspec.structs.replace(canary_of(1), app="odd"))
    assert await store.seen() is None
    assert (await store.slots())[APP] == 1
    assert "odd/1" not in await store.places()
    assert await put(store, first_route("odd", "1"), replaces=0)
    assert (await store.slots())["odd"] in {2, 7}


@pytest.mark.parametrize("garbage", [b"", b"x", b"\xff", b"1.5", b"9" * 400, b"-1", b"9" * 17, b"9223372036854775807"])
@pytest.mark.parametrize("change", ["rule", "places", "faults", "forgotten"])
async def test_a_number_that_is_none_is_another_one_with_the_next_change_of_whatever_kind(
    store: AppStore, redis_client: Redis, garbage: bytes, change: str
) -> None:
    await put(store, first_route("gone", "1"), replaces=0)
    await redis_client.set(NUMBER, garbage)
    assert await store.number() == 0

    if change == "rule":
        assert await put(store, first_route(APP, "1"), replaces=0)
    elif change == "places":
        await store.put_places({f"{APP}/1": 3})
        assert await store.places() == {f"{APP}/1": 3}
    elif change == "faults":
        await FaultStore(redis_client).replace([], now=0)
    else:
        assert await store.forget("gone", replaces=1, by="key", at=6, why="")

    first = await store.number()
    assert first > 0
    await store.put_places({})
    assert await store.number() == first + 1
    assert await store.places() == {}


async def test_what_is_said_of_a_canary_replaces_what_was_read_and_nothing_newer(
    store: AppStore,
) -> None:
    read = canary_of(1)
    first = first_route(APP, "1")
    await put(store, first, replaces=0, canary=read)
    assert await store.tell(msgspec.structs.replace(read, why="it waits"))
    assert (await store.canary(APP)) == msgspec.structs.replace(read, why="it waits")

    ended = msgspec.structs.replace(read, state="back", number=2)
    await put(store, changed(first, shares={"1": 100}), replaces=1, canary=ended)
    assert not await store.tell(msgspec.structs.replace(read, why="late"))
    assert await store.canary(APP) == ended

    for newer in (
        msgspec.structs.replace(read, started_at=9, number=2),
        msgspec.structs.replace(read, started_at=9),
        msgspec.structs.replace(read, state="ended"),
    ):
        route = await store.route(APP)
        assert route is not None
        await put(store, changed(route, shares={"1": 100}), replaces=route.number, canary=newer)
        assert not await store.tell(msgspec.structs.replace(read, why="late"))
        assert await store.canary(APP) == newer

    route = await store.route(APP)
    assert route is not None
    assert await store.forget(APP, replaces=route.number, by="key", at=6, why="")
    assert not await store.tell(read)
    assert await store.canary(APP) is None


async def test_what_runs_is_known_by_version_and_expires(store: AppStore, redis_client: Redis) -> None:
    def instance(version: str, name: str, *, healthy: bool) -> Instance:
        return Instance(app=APP, version=version, name=name, address="10.0.0.1", port=8080, healthy=healthy, since=1)

    assert await store.seen() is None
    await store.see(
        9,
        [instance("1", "a", healthy=True), instance("1", "b", healthy=False), instance("2", "c", healthy=False)],
    )
    seen = await store.seen()
    assert seen is not None
    assert seen.healthy(APP) == {"1": True, "2": False}
    assert seen.healthy("other") == {}
    assert 0 < await redis_client.ttl("apps:seen:{campus}") <= 15


async def test_figures_of_an_haproxy_that_counts_no_more_are_forgotten(store: AppStore) -> None:
    figures = Figures(at=1000, started_at=0, places={2: Counters(answers=7, errors=1, by_time=(6, 1))})
    await store.count("front-1", figures)

    assert await store.figures(31_000) == {"front-1": figures}
    assert await store.figures(31_001) == {}
    assert await store.figures(1000) == {}
