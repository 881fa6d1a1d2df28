"""What is cut off a stream: all that every group has acknowledged, and nothing else, whatever happens when."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from state.group import Group
from tests.redis_servers.clients import calls, client_of

STREAM = "trimmed:{0}"
GROUPS = ("observe", "statistics", "late")
CONSUMERS = ("one", "two")
LAST = 2**64 - 1

Id = tuple[int, int]
"""Milliseconds and number of an entry."""


def id_of(text: bytes) -> Id:
    milliseconds, number = text.split(b"-")
    return int(milliseconds), int(number)


def text_of(entry_id: Id) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"


class Book:
    """Keeps a book of what each group still has to do, beside a stream to which the same is done."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._added: list[Id] = []
        self._owed: dict[str, set[Id]] = {}
        self._removed: set[Id] = set()
        """By hand, although somebody had still to do it."""

    async def add(self, wanted: Id) -> None:
        """As a broker does. The id is the one that is wanted, or the next that is possible."""
        newest = self._added[-1] if self._added else (0, 0)
        entry_id = max(wanted, (newest[0], newest[1] + 1) if newest[1] < LAST else (newest[0] + 1, 0))
        await self._client.xadd(STREAM, {"n": len(self._added)}, id=text_of(entry_id))
        self._added.append(entry_id)
        for owed in self._owed.values():
            owed.add(entry_id)

    async def found(self, group: str, start: str) -> None:
        """A new group, from the first entry that is still there on, or from the newest."""
        if group not in self._owed:
            await self._client.xgroup_create(STREAM, group, id=start, mkstream=True)
            self._owed[group] = set(await self.entries()) if start == "0" else set()

    async def rewind(self, group: str) -> None:
        """By hand: everything that is still there is to be done again."""
        with suppress(ResponseError):  # where there is no such group
            await self._client.xgroup_setid(STREAM, group, "0")
            self._owed[group] |= set(await self.entries())

    async def read(self, group: str, consumer: str, count: int) -> None:
        with suppress(ResponseError):
            await self._client.xreadgroup(group, consumer, {STREAM: ">"}, count=count)

    async def take_over(self, group: str, consumer: str, count: int) -> None:
        with suppress(ResponseError):
            await self._client.xautoclaim(STREAM, group, consumer, 0, count=count)

    async def acknowledge(self, group: str, position: int, *, by_group: bool) -> None:
        """What is pending at a position: as the decoder does, which trims as well, or as anybody."""
        pending = await self._pending(group)
        if not pending:
            return
        entry_id = pending[position % len(pending)]
        if by_group:
            await self._group(group).acknowledge([text_of(entry_id).encode()])
        else:
            await self._client.xack(STREAM, group, text_of(entry_id))
        # After a rewind it may have been delivered, done before, and be waiting for its second delivery.
        if entry_id <= await self._last_delivered(group):
            self._owed[group].discard(entry_id)

    async def remove(self, position: int) -> None:
        """By hand, and against the rules."""
        if there := await self.entries():
            entry_id = there[position % len(there)]
            await self._client.xdel(STREAM, text_of(entry_id))
            self._removed.add(entry_id)

    async def trim(self) -> None:
        if self._added or self._owed:
            await self._group("observe").trim()
            await self.check(trimmed=bool(self._owed))

    async def check(self, *, trimmed: bool = False) -> None:
        """Nothing that is owed is gone; and after a trim nothing else is there, but what lies behind it."""
        there = set(await self.entries())
        owed = set[Id]().union(*self._owed.values())
        if not self._owed:
            owed = set(self._added)
        assert owed - self._removed <= there
        if trimmed:
            oldest = min(owed, default=(LAST, LAST))
            assert not {entry_id for entry_id in there if entry_id < oldest}

    async def entries(self) -> list[Id]:
        return [id_of(entry_id) for entry_id, _ in cast("Any", await self._client.xrange(STREAM))]

    def _group(self, name: str) -> Group:
        return Group(client=self._client, stream=STREAM, group=name, consumer="one", claim_after_ms=0)

    async def _pending(self, group: str) -> list[Id]:
        if group not in self._owed:
            return []
        found = cast("Any", await self._client.xpending_range(STREAM, group, "-", "+", 100))
        return [id_of(each["message_id"]) for each in found]

    async def _last_delivered(self, group: str) -> Id:
        groups = cast("Any", await self._client.xinfo_groups(STREAM))
        return next(id_of(found["last-delivered-id"]) for found in groups if found["name"] == group.encode())


Step = Callable[[Book], Any]

ids = st.tuples(
    st.sampled_from([0, 1, 9, 10, 1_772_366_400_000, 2**53, LAST - 1]),
    st.sampled_from([0, 1, 9, 10, 99, 2**53 - 1, 2**53, 2**53 + 1, LAST - 1, LAST]),
)
groups = st.sampled_from(GROUPS)
consumers = st.sampled_from(CONSUMERS)
positions = st.integers(0, 9)
counts = st.integers(1, 4)
adding = st.builds(lambda wanted: lambda book: book.add(wanted), st.one_of(st.just((0, 0)), ids))
reading = st.builds(
    lambda group, consumer, count: lambda book: book.read(group, consumer, count), groups, consumers, counts
)
acknowledging = st.builds(
    lambda group, position, by_group: lambda book: book.acknowledge(group, position, by_group=by_group),
    groups,
    positions,
    st.booleans(),
)
trimming = st.just(lambda book: book.trim())
others = st.one_of(
    st.builds(
        lambda group, consumer, count: lambda book: book.take_over(group, consumer, count), groups, consumers, counts
    ),
    st.builds(lambda group, start: lambda book: book.found(group, start), groups, st.sampled_from(["0", "$"])),
    st.builds(lambda group: lambda book: book.rewind(group), groups),
    st.builds(lambda position: lambda book: book.remove(position), positions),
)
# What happens all the time comes more than once.
steps = st.one_of(adding, adding, reading, reading, acknowledging, acknowledging, trimming, others)


@settings(max_examples=150)
@given(founded=st.lists(groups, max_size=2), happening=st.lists(steps, min_size=10, max_size=60))
def test_nothing_is_cut_off_that_some_group_has_not_acknowledged_and_all_else_is(
    redis_server: str, founded: list[str], happening: list[Step]
) -> None:
    async def happens() -> None:
        async with client_of(redis_server) as client:
            await client.delete(STREAM)
            book = Book(client)
            for group in founded:
                await book.found(group, "0")
            for step in happening:
                await step(book)
                await book.check()
            await book.trim()

    asyncio.run(happens())


def observers(client: Redis, consumer: str = "one") -> Group:
    return Group(client=client, stream=STREAM, group="observe", consumer=consumer, claim_after_ms=0)


async def ids_in(client: Redis) -> list[Id]:
    return await Book(client).entries()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((7, 9), (7, 10)),
        ((9, 1), (10, 0)),
        *(((7, number), (7, number + 1)) for number in (2**53, 2**53 + 1, LAST - 1)),
    ],
)
async def test_ids_are_neither_compared_as_words_nor_as_numbers_of_lua(
    redis_client: Redis, first: Id, second: Id
) -> None:
    """As words 10 comes before 9; and Lua's numbers, from 2^53 on, may be the same as their successors."""
    group = observers(redis_client)
    await group.create()
    for entry_id in (first, second):
        await redis_client.xadd(STREAM, {"n": 1}, id=text_of(entry_id))
    ((read, _),) = await group.read(1)
    await group.trim()
    assert await ids_in(redis_client) == [first, second]
    await group.acknowledge([read])
    assert await ids_in(redis_client) == [second]
    await group.acknowledge([entry_id for entry_id, _ in await group.read(1)])
    assert await ids_in(redis_client) == []


async def test_a_stream_without_a_group_is_left_alone(redis_client: Redis) -> None:
    await redis_client.xadd(STREAM, {"n": 1}, id="1-1")
    await observers(redis_client).trim()
    assert await ids_in(redis_client) == [(1, 1)]


async def test_a_group_that_has_never_read_holds_back_everything(redis_client: Redis) -> None:
    group = observers(redis_client)
    await group.create()
    for number in (1, 2):
        await redis_client.xadd(STREAM, {"n": 1}, id=f"1-{number}")
    await redis_client.xgroup_create(STREAM, "statistics", id="0")
    await group.acknowledge([entry_id for entry_id, _ in await group.read(2)])
    assert await ids_in(redis_client) == [(1, 1), (1, 2)]


async def test_an_entry_that_was_taken_over_stays_until_its_heir_has_acknowledged_it(redis_client: Redis) -> None:
    dead, heir = observers(redis_client, "dead"), observers(redis_client, "heir")
    await dead.create()
    for number in (1, 2):
        await redis_client.xadd(STREAM, {"n": 1}, id=f"1-{number}")
    await dead.read(1)
    await heir.acknowledge([entry_id for entry_id, _ in await heir.read(1)])
    assert await ids_in(redis_client) == [(1, 1), (1, 2)]
    (leftover,) = await heir.abandoned(5)
    await heir.claim(leftover)
    await heir.trim()
    assert await ids_in(redis_client) == [(1, 1), (1, 2)]
    await heir.acknowledge([leftover.entry_id])
    assert await ids_in(redis_client) == []


async def test_what_piled_up_behind_one_entry_is_cut_off_in_steps(redis_client: Redis) -> None:
    group = observers(redis_client)
    await group.create()
    for first in range(0, 5000, 1000):
        async with redis_client.pipeline(transaction=False) as pipeline:
            for number in range(first, first + 1000):
                pipeline.xadd(STREAM, {"n": number})
            await pipeline.execute()
    read = [entry_id for entry_id, _ in await group.read(5000)]
    await group.acknowledge(read[1:])
    await redis_client.config_resetstat()
    await group.acknowledge(read[:1])
    assert await redis_client.xlen(STREAM) == 0
    assert (await calls(redis_client))["evalsha"] > 4
