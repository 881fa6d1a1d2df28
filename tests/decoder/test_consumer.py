import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import pytest
from redis.asyncio import Redis

from core.errors import Reason
from core.kinds import DEFAULT_KINDS
from core.messages import encode_positions
from decoder.consumer import Consumer, Work
from decoder.metrics import DecoderMetrics
from runtime.service import Stop
from state.group import Entry, Group
from tests.conftest import NOON, POSITIONS, RAW, TOTALS, eventually
from tests.decoder.conftest import HandClock, dead_letters, position, raw
from tests.raw_streams import raw_key

CLAIM_EVERY_MS = 5000
ARCHIVE_GROUP = "archive"

GroupOf = Callable[[str], Group]


class KilledError(Exception):
    """Stands for the death of a process."""


class Deadly:
    """Acknowledges what it is given, but dies of the entries whose payload is `deadly`."""

    def __init__(self, group: Group, *, field: bytes = b"p", deadly: bytes = b"deadly") -> None:
        self._group = group
        self._field = field
        self._deadly = deadly
        self.done: list[bytes] = []

    async def __call__(self, entries: list[Entry]) -> None:
        payloads = [fields[self._field] for _, fields in entries]
        if self._deadly in payloads:
            raise KilledError
        await self._group.acknowledge([entry_id for entry_id, _ in entries])
        self.done += payloads


def consumer(  # a decoder's, as decoder/stages.py makes them
    group: Group,
    work: Work,
    *,
    metrics: DecoderMetrics | None = None,
    alone: asyncio.Lock | None = None,
    clock: HandClock | None = None,
    batch_size: int = 500,
    together: bool = False,
) -> Consumer:
    return Consumer(
        kinds=DEFAULT_KINDS,
        stage="observe",
        group=group,
        work=work,
        clock=clock or HandClock(),
        metrics=metrics or DecoderMetrics(),
        batch_size=batch_size,
        alone=alone or asyncio.Lock(),
        poison_after=3,
        dead_letters_max=10,
        together=together,
    )


async def publish(client: Redis, *payloads: bytes) -> None:
    for payload in payloads:
        await client.xadd(RAW, raw(payload, topic="car-iotp/device-1").encode())  # type: ignore[arg-type]


async def emptied(client: Redis, stream: str = RAW) -> bool:
    return not await client.xlen(stream)


async def run_until(condition: Callable[[], object], one: Consumer) -> None:
    """Run a consumer until something is so; raises what it dies of before."""
    stop = Stop()
    running = asyncio.ensure_future(one.run(stop))

    async def met() -> bool:
        return running.done() or bool(await condition())  # type: ignore[misc]

    await eventually(met)
    stop.set()
    await running


async def restart_until_it_lives(condition: Callable[[], object], make: Callable[[], Consumer]) -> int:
    """How often it died."""
    for deaths in range(20):
        try:
            await run_until(condition, make())
        except KilledError:
            continue
        return deaths
    raise AssertionError("it dies for ever")


async def test_an_entry_that_kills_becomes_a_dead_letter_and_its_neighbours_are_done_once(
    redis_client: Redis, group_of: GroupOf, metrics: DecoderMetrics
) -> None:
    others = [b"%d" % number for number in range(20)]
    await publish(redis_client, *others[:10], b"deadly", *others[10:])
    work = Deadly(group_of("a"))
    deaths = await restart_until_it_lives(
        lambda: emptied(redis_client), lambda: consumer(group_of("a"), work, metrics=metrics)
    )
    assert deaths == 3
    assert sorted(work.done) == sorted(others)
    (letter,) = await dead_letters(redis_client)
    assert (letter.reason, letter.payload, letter.topic, letter.user) == (Reason.POISON, None, "car-iotp", "")
    assert "3 times" in letter.detail
    assert metrics.registry.get_sample_value("decoder_dead_letters_total", {"reason": "poison"}) == 1
    assert await redis_client.hget(TOTALS, "dead:poison") == b"1"


async def test_an_entry_that_kills_one_decoder_after_another_becomes_a_dead_letter_by_the_next(
    redis_client: Redis, group_of: GroupOf
) -> None:
    await publish(redis_client, b"deadly", b"1")
    names = iter("abcdefgh")
    works = []

    def another() -> Consumer:
        name = next(names)
        works.append(Deadly(group_of(name)))

        class Hurrying(HandClock):
            def __call__(self) -> int:
                self.now += CLAIM_EVERY_MS
                return self.now

        return consumer(group_of(name), works[-1], clock=Hurrying())

    assert await restart_until_it_lives(lambda: emptied(redis_client), another) == 3
    assert [payload for work in works for payload in work.done] == [b"1"]
    assert [letter.reason for letter in await dead_letters(redis_client)] == [Reason.POISON]


async def test_poison_in_the_stream_positions_becomes_a_dead_letter_too(redis_client: Redis) -> None:
    stream = POSITIONS
    deadly, harmless = (encode_positions([position(name, NOON)]) for name in ("deadly", "harmless"))
    for data in (deadly, harmless):
        await redis_client.xadd(stream, {"d": data})
    group = Group(client=redis_client, stream=stream, group=ARCHIVE_GROUP, consumer="a", claim_after_ms=0)
    work = Deadly(group, field=b"d", deadly=deadly)
    await restart_until_it_lives(lambda: emptied(redis_client, stream), lambda: consumer(group, work))
    assert work.done == [harmless]
    (letter,) = await dead_letters(redis_client)
    assert (letter.reason, letter.topic, letter.payload) == (Reason.POISON, "", None)


async def test_leftovers_of_several_consumers_are_in_hand_one_at_a_time(redis_client: Redis) -> None:
    """Else a decoder that dies of one entry would count that as a delivery of all the others."""
    in_hand, most = 0, 0

    class Slow(Deadly):
        async def __call__(self, entries: list[Entry]) -> None:
            nonlocal in_hand, most
            in_hand += 1
            most = max(most, in_hand)
            await asyncio.sleep(0)
            await super().__call__(entries)
            in_hand -= 1

    alone = asyncio.Lock()
    consumers = []
    for partition in range(3):
        stream = raw_key(partition, 3)
        group = Group(client=redis_client, stream=stream, group="observe", consumer="a", claim_after_ms=0)
        await group.create()
        for _ in range(10):
            await redis_client.xadd(stream, raw(b"1").encode())  # type: ignore[arg-type]
        await group.read(10)
        consumers.append(consumer(group, Slow(group), alone=alone))
    stop = Stop()
    running = asyncio.gather(*(one.run(stop) for one in consumers))

    async def done() -> bool:
        return all([await emptied(redis_client, raw_key(partition, 3)) for partition in range(3)])

    await eventually(done)
    stop.set()
    await running
    assert most == 1


async def test_a_leftover_costs_one_round_trip_besides_its_work(
    redis_client: Redis, group_of: GroupOf, metrics: DecoderMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For its delivery, and its share of finding it: so 500 of them take less than half a second."""
    group = group_of("a")
    await group.create()
    await publish(redis_client, *[b"1"] * 500)
    await group.read(500)
    asked: Counter[str] = Counter()
    ask = Redis.execute_command

    async def counted(client: Redis, *args: str, **options: object) -> object:
        asked[args[0]] += 1
        return cast("object", await ask(client, *args, **options))  # type: ignore[no-untyped-call]

    monkeypatch.setattr(Redis, "execute_command", counted)
    await run_until(lambda: emptied(redis_client), consumer(group, Deadly(group), metrics=metrics))
    del asked["XLEN"]  # ours
    work = 500
    assert asked.total() - work < 1.1 * 500
    assert metrics.registry.get_sample_value("decoder_claimed_entries_total", {"stage": "observe"}) == 500


class Waiting:
    """Work that waits for a store which is away."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self, entries: list[Entry]) -> None:
        assert entries
        self.begun.set()
        await asyncio.Event().wait()


async def cancelled(running: "asyncio.Future[None]") -> None:
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_waiting_for_a_store_is_never_held_against_an_entry(
    redis_client: Redis, group_of: GroupOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often decoders are stopped, or killed, while Cloudant is away."""
    monkeypatch.setattr("decoder.consumer.PATIENCE_SECONDS", 0.01)

    async def killed_instead(*_: object) -> None:
        pass

    monkeypatch.setattr(Group, "give_back", killed_instead)
    group = group_of("a")
    await group.create()
    await publish(redis_client, b"1")
    await group.read(1)

    async def forgiven() -> bool:
        (leftover,) = await group.own(1)
        return leftover.deliveries == 1

    for _ in range(5):
        work = Waiting()
        running = asyncio.ensure_future(consumer(group, work).run(Stop()))
        await asyncio.wait_for(work.begun.wait(), 10)
        await eventually(forgiven)
        await cancelled(running)
    assert not await dead_letters(redis_client)


async def test_a_stop_in_good_order_gives_back_what_is_in_hand(redis_client: Redis) -> None:
    group = Group(client=redis_client, stream=RAW, group="observe", consumer="a", claim_after_ms=60_000)
    heir = Group(client=redis_client, stream=RAW, group="observe", consumer="b", claim_after_ms=60_000)
    await group.create()
    await publish(redis_client, b"1")
    await group.read(1)
    work = Waiting()
    running = asyncio.ensure_future(consumer(group, work).run(Stop()))
    await asyncio.wait_for(work.begun.wait(), 10)
    assert not await heir.abandoned(1)
    await cancelled(running)
    assert [leftover.deliveries for leftover in await heir.abandoned(1)] == [1]


async def test_a_leftover_that_waits_does_not_delay_the_leftovers_of_other_stages(
    redis_client: Redis, group_of: GroupOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decoder.consumer.PATIENCE_SECONDS", 0.01)
    archive = Group(client=redis_client, stream=POSITIONS, group="archive", consumer="a", claim_after_ms=0)
    observe = group_of("a")
    for group in (archive, observe):
        await group.create()
    await redis_client.xadd(POSITIONS, {"d": b"1"})
    await publish(redis_client, b"1", b"2")
    await archive.read(1)
    await observe.read(2)
    alone, waiting = asyncio.Lock(), Waiting()
    running = asyncio.ensure_future(consumer(archive, waiting, alone=alone).run(Stop()))
    await asyncio.wait_for(waiting.begun.wait(), 10)
    await run_until(lambda: emptied(redis_client), consumer(observe, Deadly(observe), alone=alone))
    await cancelled(running)


async def test_leftovers_that_make_one_thing_are_taken_together_until_one_of_them_is_found_to_kill(
    redis_client: Redis, group_of: GroupOf
) -> None:
    await publish(redis_client, *[b"%d" % number for number in range(5)], b"deadly", b"5")
    batches: list[int] = []

    class Noting(Deadly):
        async def __call__(self, entries: list[Entry]) -> None:
            batches.append(len(entries))
            await super().__call__(entries)

    work = Noting(group_of("a"))
    deaths = await restart_until_it_lives(
        lambda: emptied(redis_client), lambda: consumer(group_of("a"), work, together=True)
    )
    assert sorted(work.done) == [b"%d" % number for number in range(6)]
    # Read, taken together, and then each for itself.
    assert (deaths, batches) == (3, [7, 7, 1, 1, 1, 1, 1, 1, 1])
    assert [letter.reason for letter in await dead_letters(redis_client)] == [Reason.POISON]
