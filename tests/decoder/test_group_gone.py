"""Somebody empties Redis, or puts back an older copy of it: the group is made again, and nothing ends."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from core.errors import Reason, UnavailableError
from core.messages import DeadLetter
from runtime.service import Stop
from state.group import Group, Leftover
from tests.conftest import NOON, RAW, entries, eventually
from tests.decoder.conftest import raw
from tests.decoder.test_consumer import Deadly, consumer

OBSERVE_GROUP = "observe"

ID = b"1-0"
GroupOf = Callable[[str], Group]
LETTER = DeadLetter(Reason.POISON, "detail", "", NOON, payload=None)
CALLS: list[Callable[[Group], Awaitable[Any]]] = [
    lambda group: group.read(10),
    lambda group: group.own(10),
    lambda group: group.abandoned(10),
    lambda group: group.claim(Leftover(ID, 1, 0)),
    lambda group: group.claim_together([Leftover(ID, 1, 0)]),
    lambda group: group.before("1-0", 1),
    lambda group: group.skip_before("1-0"),
    lambda group: group.destroy(),
    lambda group: group.keep([ID]),
    lambda group: group.give_back([ID]),
    lambda group: group.look(Leftover(ID, 1, 0)),
    lambda group: group.dead_letter(ID, LETTER, 10),
    lambda group: group.acknowledge([ID]),
    lambda group: group.trim(),
    lambda group: group.dismiss(),
]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("call", CALLS)
async def test_without_its_group_or_its_stream_every_call_is_tried_again_and_then_works(
    redis_client: Redis, group_of: GroupOf, call: Callable[[Group], Awaitable[Any]], *, whole: bool
) -> None:
    group = group_of("a")
    await group.create()
    if whole:
        await redis_client.flushall()
        await redis_client.script_flush()
    else:
        await redis_client.xgroup_destroy(RAW, OBSERVE_GROUP)
    with suppress(UnavailableError):
        await call(group)
    await call(group)


async def test_what_is_in_a_stream_without_its_group_is_read_from_the_first_entry(
    redis_client: Redis, group_of: GroupOf
) -> None:
    group = group_of("a")
    await group.create()
    work = Deadly(group)
    stop = Stop()
    running = asyncio.create_task(consumer(group, work).run(stop))
    await redis_client.xadd(RAW, cast("Any", raw(b"1").encode()))

    async def done(count: int) -> bool:
        return len(work.done) == count

    await eventually(lambda: done(1))
    await redis_client.flushall()
    await redis_client.script_flush()
    await redis_client.xadd(RAW, cast("Any", raw(b"2").encode()))
    await redis_client.xadd(RAW, cast("Any", raw(b"3").encode()))
    await eventually(lambda: done(3))
    stop.set()
    await running
    assert work.done == [b"1", b"2", b"3"]
    assert await entries(redis_client, RAW) == []
