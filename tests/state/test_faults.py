"""Faults in Redis end by themselves."""

from redis.asyncio import Redis

from core.faults import Fault
from state.apps import AppStore
from state.faults import FAULTS, FaultStore

NOW = 1_000_000


def fault(between: str, until: int) -> Fault:
    return Fault(between=between, kind="cut", until=until, by="key")


async def test_a_fault_is_there_until_it_ends_and_the_key_goes_with_the_last(redis_client: Redis) -> None:
    store = FaultStore(redis_client)
    short, long = fault("api>redis", NOW + 1000), fault("broker>redis", NOW + 60_000)

    await store.replace([short, long], now=NOW)

    assert await store.faults(NOW) == [short, long]
    assert await store.faults(NOW + 1000) == [long]
    assert await store.faults(NOW + 60_000) == []
    assert 50_000 < await redis_client.pttl(FAULTS) <= 60_000


async def test_faults_replace_those_that_were_on_and_none_ends_all(redis_client: Redis) -> None:
    store = FaultStore(redis_client)
    await store.replace([fault("api>redis", NOW + 1000)], now=NOW)
    other = fault("broker>redis", NOW + 1000)
    await store.replace([other, fault("decoder>redis", NOW)], now=NOW)
    assert await store.faults(NOW) == [other]

    await store.replace([], now=NOW)

    assert await store.faults(NOW) == []
    assert not await redis_client.exists(FAULTS)


async def test_who_follows_rules_sees_that_faults_have_changed(redis_client: Redis) -> None:
    store = FaultStore(redis_client)
    await store.replace([fault("api>redis", NOW + 1000)], now=NOW)
    await store.replace([], now=NOW)
    assert await AppStore(redis_client).number() == 2


async def test_what_cannot_be_read_is_no_fault(redis_client: Redis) -> None:
    await redis_client.set(FAULTS, b'[{"between": 5}]')
    assert await FaultStore(redis_client).faults(NOW) == []


async def test_who_says_what_he_replaces_changes_nothing_where_it_is_no_more_what_is_there(redis_client: Redis) -> None:
    store = FaultStore(redis_client)
    one, other = fault("api>redis", NOW + 1000), fault("broker>redis", NOW + 1000)
    assert await store.marked(NOW) == ([], "da39a3ee5e6b4b0d3255bfef95601890afd80709")

    mark = await store.replace([one], now=NOW, replaces="da39a3ee5e6b4b0d3255bfef95601890afd80709")
    assert await store.marked(NOW) == ([one], mark)
    number = await AppStore(redis_client).number()
    assert await store.replace([other], now=NOW, replaces="da39a3ee5e6b4b0d3255bfef95601890afd80709") is None
    assert await store.replace([], now=NOW, replaces="0" * 40) is None
    assert (await store.marked(NOW), await AppStore(redis_client).number()) == (([one], mark), number)

    assert mark is not None
    assert await store.replace([], now=NOW, replaces=mark) == "da39a3ee5e6b4b0d3255bfef95601890afd80709"
    assert await store.faults(NOW) == []
