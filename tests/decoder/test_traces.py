"""Spans of the stages: which there are, and what they must not have in them."""

import json
from collections.abc import Callable, Sequence
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from redis.asyncio import Redis

from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from core.messages import Position, RawMessage
from decoder.archive import Archiver
from decoder.batch import BatchDecoder
from decoder.metrics import DecoderMetrics
from decoder.rollup import Rollup
from decoder.traces import StageTraces
from documents import DocumentStore
from geofence import Geofence
from runtime import tracing as module
from runtime.tracing import Tracing, trace_id
from state.dead_letters import DeadLetters
from state.group import Group
from state.traces import Note, Notes
from tests.conftest import NOON, POSITIONS
from tests.decoder.conftest import HASHER, LIBRARY, HandClock, MakeObserver, raw
from tests.kinds_of_tests import CAR
from tests.raw_streams import append, append_each
from tests.redis_servers.fixtures import limit_memory
from tests.tracing import Kept, context_of, trace_of, tracing_to
from timeseries import OccupancyPoint, OccupancyStore, Written

CORK = (-8.470613, 51.897913)
DUBLIN = ZoneInfo("Europe/Dublin")
MINUTE = 60_000


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.0)


def sent(device: str, place: tuple[float, float] = LIBRARY, at: int = NOON) -> RawMessage:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": place},
        "properties": {"device_id": device, "accuracy": 3, "timestamp": at},
    }
    return raw(json.dumps(feature).encode(), received_at=NOON)


class Stores:
    """A document store and a time-series store that keep nothing."""

    def __init__(self) -> None:
        self.answer: Callable[[Sequence[OccupancyPoint]], Written] = lambda _: Written()

    async def put(self, positions: Sequence[Position], *, key: object) -> int:
        del key
        return len(positions)

    async def write(self, points: Sequence[OccupancyPoint]) -> Written:
        return self.answer(points)


class Decoder:
    """The three stages of one partition."""

    def __init__(
        self, client: Redis, decoder: BatchDecoder, group: Group, observer_of: MakeObserver, clock: HandClock
    ) -> None:
        self.client = client
        self.clock = clock
        self.stores = Stores()
        self.decoder = decoder
        self._group = group
        self._observer_of = observer_of
        self._metrics = DecoderMetrics()

    def traced_by(self, tracing: Tracing | None) -> None:
        traces = StageTraces(tracing, client=self.client, clock=self.clock, partitions=1, timezone=DUBLIN)
        self._observer = self._observer_of(decoder=self.decoder, traces=traces.observe(self.decoder, 0))
        self._positions = Group(client=self.client, stream=POSITIONS, group="archive", consumer="a", claim_after_ms=0)
        self._archiver = Archiver(
            dead_letters=DeadLetters(self.client, partitions=1),
            group=self._positions,
            store=cast("DocumentStore", self.stores),
            clock=self.clock,
            metrics=self._metrics,
            dead_letters_max=10,
            traces=traces.archive(0),
        )
        self._rollup = Rollup(
            client=self.client,
            store=cast("OccupancyStore", self.stores),
            kinds=DEFAULT_KINDS,
            clock=self.clock,
            metrics=self._metrics,
            partitions=1,
            timezone=DUBLIN,
            every_ms=0,
            batch_size=1000,
            dead_letters_max=10,
            traces=traces.rollup(),
        )

    async def observe(self) -> list[str]:
        """The traces of the entries that there were."""
        await self._group.create()
        entries = await self._group.read(500)
        await self._observer(entries)
        return [trace_id(f"raw:{{0}}/{entry_id.decode()}") for entry_id, _ in entries]

    async def archive(self) -> None:
        await self._positions.create()
        await self._archiver(await self._positions.read(20))

    async def roll_up(self) -> None:
        while await self._rollup.step():
            pass


@pytest.fixture
def stages(
    service_redis: Redis,
    decoder: BatchDecoder,
    group_of: Callable[[str], Group],
    observer_of: MakeObserver,
    clock: HandClock,
) -> Decoder:
    return Decoder(service_redis, decoder, group_of("a"), observer_of, clock)


async def fields_of_positions(client: Redis) -> list[set[bytes]]:
    return [set(fields) for _, fields in cast("Any", await client.xrange(POSITIONS))]


def words(span: ReadableSpan) -> str:
    """All that whoever takes a span is told, but for its ids and times."""
    return repr((span.name, span.attributes, span.resource.attributes, span.events, span.status, span.links))


async def test_an_entry_has_one_trace_from_its_publish_to_the_series(stages: Decoder) -> None:
    kept = Kept()
    async with tracing_to(kept) as tracing:
        stages.traced_by(tracing)
        await append(stages.client, sent("a"), sent("b"))
        [trace] = await stages.observe()
        stages.clock.now += 20
        await stages.archive()
        await stages.roll_up()
    assert kept.told == [(trace, name) for name in ("publish", "raw", "observe", "archive", "rollup")]
    publish, raw_, observe, archive, rollup = kept.spans
    assert publish.parent is None
    assert {each.parent.span_id for each in kept.spans if each.parent} == {context_of(publish).span_id}
    assert dict(publish.attributes or {}) == {"messages": 2}
    assert publish.start_time == NOON * 1_000_000
    assert publish.end_time == raw_.start_time, "when the entry was appended, by its id"
    assert observe.end_time == NOON * 1_000_000
    assert archive.start_time == rollup.start_time == (NOON + 20) * 1_000_000


async def test_no_device_no_hash_no_place_and_no_zone_is_in_a_span_or_a_note(stages: Decoder) -> None:
    kept = Kept()
    async with tracing_to(kept) as tracing:
        stages.traced_by(tracing)
        await append_each(stages.client, sent("bus-number-304"), sent("bus-number-305", CORK))
        await stages.observe()
        await stages.archive()
        await stages.roll_up()
    told = "".join(map(words, kept.spans))
    assert len(kept.spans) == 8
    noted = repr(await stages.client.xrange("traces:{campus}"))
    for device in ("bus-number-304", "bus-number-305"):
        for trace in (device, HASHER.hash(CAR, device), HASHER.away(HASHER.hash(CAR, device))):
            assert trace not in told
            assert trace not in noted
    # Ids of entries are times, and a name of a window is one: a place has a point in it.
    for place in ("8.57", "52.67", "8.47", "51.89"):
        assert place not in told
        assert place not in noted
    assert "glucksman-library" in noted
    for zone in ("glucksman-library", "campus:", "car"):
        assert zone not in told


async def test_what_was_outside_alone_ends_with_observe(stages: Decoder) -> None:
    kept = Kept()
    async with tracing_to(kept) as tracing:
        stages.traced_by(tracing)
        await append_each(stages.client, sent("a"), sent("b", CORK), raw(b"nothing"))
        inside, outside, unusable = await stages.observe()
        await stages.archive()
        await stages.roll_up()
    names = {trace: [name for each, name in kept.told if each == trace] for trace, _ in kept.told}
    assert names == {
        inside: ["publish", "raw", "observe", "archive", "rollup"],
        outside: ["publish", "raw", "observe"],
        unusable: ["publish", "raw", "observe"],
    }


async def test_a_batch_of_several_is_a_span_of_each_with_links(stages: Decoder) -> None:
    kept = Kept()
    async with tracing_to(kept) as tracing:
        stages.traced_by(tracing)
        await append_each(stages.client, sent("a"), sent("b"))
        first, second = await stages.observe()
        await stages.archive()
        await stages.roll_up()
    for name in ("observe", "archive", "rollup"):
        spans = [span for span in kept.spans if span.name == name]
        assert [trace_of(span) for span in spans] == [first, second], name
        linked = [f"{link.context.trace_id:032x}" for span in spans for link in span.links]
        assert linked == [second, first], name


async def test_where_nothing_is_traced_nothing_is_written_for_it(stages: Decoder) -> None:
    stages.traced_by(None)
    await append(stages.client, sent("a"))
    await stages.observe()
    assert await fields_of_positions(stages.client) == [{b"d"}]
    await stages.archive()
    await stages.roll_up()
    assert not await stages.client.exists("traces:{campus}")


async def test_what_is_not_sampled_has_no_span_and_no_note(stages: Decoder) -> None:
    kept = Kept()
    async with tracing_to(kept, share=0) as tracing:
        stages.traced_by(tracing)
        await append(stages.client, sent("a"))
        await stages.observe()
        assert await fields_of_positions(stages.client) == [{b"d"}]
        await stages.archive()
        await stages.roll_up()
    assert kept.spans == []
    assert not await stages.client.exists("traces:{campus}")


async def test_a_decoder_that_traces_nothing_takes_what_another_one_sampled(stages: Decoder) -> None:
    async with tracing_to(Kept()) as tracing:
        stages.traced_by(tracing)
        await append(stages.client, sent("a"))
        await stages.observe()
    assert await fields_of_positions(stages.client) == [{b"d", b"t"}]
    stages.traced_by(None)
    await stages.archive()
    assert await fields_of_positions(stages.client) == []


async def test_windows_that_the_store_did_not_take_are_a_span_once_it_has(stages: Decoder) -> None:
    kept = Kept()
    async with tracing_to(kept) as tracing:
        stages.traced_by(tracing)
        await append(stages.client, sent("a"))
        [trace] = await stages.observe()
        stages.stores.answer = lambda points: Written(refused={point.window: "no" for point in points})
        await stages.roll_up()
        assert [note.stored for note in await Notes(stages.client).new()] == [False]
        stages.stores.answer = lambda _: Written()
        await append(stages.client, sent("b"))
        [other] = await stages.observe()
        await stages.roll_up()
    assert [told for told in kept.told if told[1] == "rollup"] == [(trace, "rollup"), (other, "rollup")]


async def test_each_window_of_an_entry_is_told_stored_once(stages: Decoder) -> None:
    kept = Kept()
    async with tracing_to(kept) as tracing:
        stages.traced_by(tracing)
        await append(stages.client, sent("a"))
        [first] = await stages.observe()
        await stages.roll_up()
        await append(stages.client, sent("b"))
        [second] = await stages.observe()
        await stages.roll_up()
        # Whoever begins later hears what was stored before.
        stages.traced_by(tracing)
        await append(stages.client, sent("c"))
        [third] = await stages.observe()
        await stages.roll_up()
    assert [trace for trace, name in kept.told if name == "rollup"] == [first, second, third]


async def test_what_was_counted_after_windows_were_claimed_waits_for_their_next_write(stages: Decoder) -> None:
    kept = Kept()
    async with tracing_to(kept) as tracing:
        stages.traced_by(tracing)
        await append(stages.client, sent("a"))
        stages.clock.now = NOON + 1000
        [trace] = await stages.observe()
        stages.clock.now = NOON + 999
        await stages.client.zadd("dirty:{0}", {f"1m:{NOON}:campus:car": NOON})
        await stages.roll_up()
        assert [name for _, name in kept.told if name == "rollup"] == []
        stages.clock.now = NOON + 1000
        await stages.client.zadd("dirty:{0}", {f"1m:{NOON}:campus:car": NOON})
        await stages.roll_up()
    assert next(each for each in kept.told if each[1] == "rollup") == (trace, "rollup")


async def test_a_note_names_a_hundred_windows_at_the_most(stages: Decoder) -> None:
    async with tracing_to(Kept()) as tracing:
        stages.traced_by(tracing)
        await append(stages.client, *(sent("a", at=NOON - number * MINUTE) for number in range(60)))
        await stages.observe()
    [note] = await Notes(stages.client).new()
    assert len(note.windows) == 100
    assert f"1m:{NOON}:glucksman-library:car" in note.windows


async def test_where_redis_takes_no_note_all_is_done_and_later_stages_have_no_spans(
    stages: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: Notes, notes: Sequence[Note]) -> None:
        raise UnavailableError(f"no room for {len(notes)}")

    kept = Kept()
    async with tracing_to(kept) as tracing:
        stages.traced_by(tracing)
        monkeypatch.setattr(Notes, "add", away)
        await append(stages.client, sent("a"))
        [trace] = await stages.observe()
        await stages.archive()
        await stages.roll_up()
    assert kept.told == [(trace, name) for name in ("publish", "raw", "observe", "archive")]
    assert await stages.client.xlen("raw:{0}") == 0


async def test_a_full_redis_takes_no_note_and_that_is_no_defect(limited_redis: Redis) -> None:
    await limit_memory(limited_redis, 1)
    with pytest.raises(UnavailableError):
        await Notes(limited_redis).add([Note("raw:{0}/1-0", frozenset(), NOON)])


async def test_an_entry_that_is_several_rounds_is_published_once_and_observed_in_each(
    stages: Decoder, fence: Geofence
) -> None:
    stages.decoder = BatchDecoder(kinds=DEFAULT_KINDS, fence=fence, hasher=HASHER, partitions=1, features_at_once=1)
    kept = Kept()
    async with tracing_to(kept) as tracing:
        stages.traced_by(tracing)
        await append(stages.client, sent("a"), sent("b", CORK), sent("c", at=NOON - MINUTE))
        [trace] = await stages.observe()
        assert await fields_of_positions(stages.client) == [{b"d", b"t"}, {b"d", b"t"}]
        await stages.archive()
        await stages.roll_up()
    names = ["publish", "raw", "observe", "observe", "observe", "archive", "rollup"]
    assert kept.told == [(trace, name) for name in names]
