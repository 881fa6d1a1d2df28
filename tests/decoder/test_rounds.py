"""An entry that is more than one batch takes is done in rounds, and each of its messages is counted once."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from core.messages import RawMessage
from decoder.batch import BatchDecoder
from decoder.observe import Observer
from decoder.rounds import InHand, as_they_are, cut, left
from geofence import Geofence
from state.group import Group
from state.raw import Finisher
from state.status import read_status
from tests.conftest import NOON, POSITIONS, RAW, entries
from tests.decoder.conftest import HASHER, LIBRARY, MakeObserver, dead_letters, finisher_of, raw
from tests.raw_streams import append, append_each

GroupOf = Callable[[str], Group]


def payload(device: str, place: tuple[float, float] = LIBRARY) -> bytes:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": list(place)},
        "properties": {"device_id": device, "timestamp": NOON},
    }
    return base64.b64encode(json.dumps(feature).encode())


class Dies(BaseException):
    """As if the process had ended."""


class DyingFinisher:
    """Ends the process at its n-th call, before or after it was done."""

    def __init__(self, finisher: Finisher, at: int, *, done: bool) -> None:
        self._finisher = finisher
        self._at = at
        self._done = done

    async def finish(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - that of the finisher
        self._at -= 1
        if self._at == 0 and not self._done:
            raise Dies
        answer = await self._finisher.finish(*args, **options)
        if self._at == 0:
            raise Dies
        return answer


@pytest.fixture
def observer(fence: Geofence, observer_of: MakeObserver) -> MakeObserver:
    def make(at_once: int, finisher: object = None) -> Observer:
        decoder = BatchDecoder(kinds=DEFAULT_KINDS, fence=fence, hasher=HASHER, partitions=1, features_at_once=at_once)
        return observer_of(decoder=decoder, **({} if finisher is None else {"finisher": finisher}))

    return make


SENT = [*(raw(payload(f"device-{number}")) for number in range(9)), raw(b"%%%"), raw(payload("gone", (0.0, 0.0)))]
RIGHT = {"accepted": 11, "dead:not_base64": 1, "finished": 11, "messages": 11, "outside": 1, "positions": 9}


async def nothing_is_left(client: Redis, group: Group) -> None:
    assert await client.xlen(RAW) == 0
    assert not await group.own(1)
    assert not await client.exists("progress:{0}")


@pytest.mark.parametrize("at_once", [1, 2, 3, 10, 11, 100])
async def test_an_entry_that_is_more_than_a_batch_takes_is_done_in_rounds(
    redis_client: Redis, observer: MakeObserver, group_of: GroupOf, at_once: int
) -> None:
    group = group_of("a")
    await group.create()
    await append(redis_client, *SENT)
    await redis_client.xadd(RAW, {"hello": "world"})
    await observer(at_once)(await group.read(100))
    await nothing_is_left(redis_client, group)
    assert (await read_status(redis_client, 1)).totals == {**RIGHT, "dead:malformed_entry": 1}
    assert len(await dead_letters(redis_client)) == 2
    assert len(await entries(redis_client, POSITIONS)) <= 12 // min(at_once, 12) + 1


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("at", range(1, 6))
async def test_whoever_dies_between_two_rounds_leaves_the_rest_to_another_and_nothing_counts_twice(
    redis_client: Redis, observer: MakeObserver, group_of: GroupOf, at: int, *, done: bool
) -> None:
    group = group_of("a")
    await group.create()
    await append(redis_client, *SENT[:6])
    await append_each(redis_client, *SENT[6:8])
    await append(redis_client, *SENT[8:])
    read = await group.read(100)
    with pytest.raises(Dies):
        await observer(2, DyingFinisher(finisher_of(redis_client), at, done=done))(read)
    # The next one takes them one by one, in rounds of another size.
    for leftover in await group.own(100):
        entry = await group.claim(leftover)
        assert entry is not None
        await observer(3)([entry])
    await nothing_is_left(redis_client, group)
    assert (await read_status(redis_client, 1)).totals == RIGHT
    assert len(await dead_letters(redis_client)) == 1


async def test_two_decoders_that_have_the_same_entries_count_each_message_once(
    redis_client: Redis, observer: MakeObserver, group_of: GroupOf
) -> None:
    """One of them was slow, and its entries were claimed; and they cut them differently."""
    group = group_of("a")
    await group.create()
    for _ in range(20):
        await append(redis_client, *SENT)
    read = await group.read(10_000)

    await asyncio.gather(
        *(observer(at_once)(some) for at_once, some in ((7, read), (4, read[5:]), (3, read[::-1]), (11, read[::2])))
    )
    await nothing_is_left(redis_client, group)
    assert (await read_status(redis_client, 1)).totals == {name: 20 * count for name, count in RIGHT.items()}


async def test_an_answer_that_is_lost_in_a_round_is_not_counted_twice(
    redis_client: Redis, observer: MakeObserver, group_of: GroupOf
) -> None:
    finisher = finisher_of(redis_client)
    lost: list[bool] = []

    class Forgetful:
        async def finish(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - that of the finisher
            answer = await finisher.finish(*args, **options)
            if len(lost) % 2 == 0:
                lost.append(True)
                raise UnavailableError("the line is dead", retry_after=0.001)
            lost.append(False)
            return answer

    group = group_of("a")
    await group.create()
    await append(redis_client, *SENT)
    await observer(4, Forgetful())(await group.read(100))
    assert len(lost) > 4
    await nothing_is_left(redis_client, group)
    assert (await read_status(redis_client, 1)).totals == RIGHT


some_entries = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), max_size=6).map(
    lambda sizes: [
        InHand(b"%d-0" % number, (raw(b"%d" % number),) * count, done=min(done, max(0, count - 1)), counted=True)
        for number, (count, done) in enumerate(sizes)
    ]
)


@given(some_entries, st.data())
def test_a_round_and_what_is_left_after_it_are_all_there_was(work: list[InHand], data: st.DataObject) -> None:
    messages: list[RawMessage] = left(work)
    taken = data.draw(st.integers(0, len(messages)))
    found = cut(work, taken)
    assert left(found.rest) == messages[taken:]
    assert sum(part.counted for part in found.parts) == taken
    assert all(part.end is None for part in found.parts[:-1])
    # Done is what it says, whoever looks.
    known = {part.entry_id: part.end for part in found.parts}
    assert left(as_they_are(work, known)) == messages[taken:]
