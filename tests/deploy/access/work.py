"""What services and commands do with Redis, each by its own client, as `state` offers it."""

from collections import Counter
from collections.abc import Awaitable, Callable
from zoneinfo import ZoneInfo

from core.clock import system_clock
from core.errors import Reason
from core.faults import Fault
from core.kinds import DEFAULT_KINDS, KindId
from core.messages import DeadLetter, Position, RawMessage
from core.windows import Width, Window
from runtime.epochs import Rotation
from state.api_keys import API_KEYS, KeyStore
from state.apps import AppStore
from state.audit import Question, note_question, questions
from state.backlog import read_backlogs
from state.campus import (
    StoredCampus,
    ZoneChange,
    advance_partitions,
    present_version,
    raise_number,
    replace_campus,
    zone_changes,
)
from state.client import Redis
from state.coverage import RecordedMinutes
from state.dead_letters import DeadLetters, Which
from state.device_keys import DeviceKeys
from state.devices import forget_device
from state.dirty_windows import DirtyWindows, waiting
from state.durability import Writes
from state.effect_parts import Outside, Room, parts
from state.effects import PartitionEffects
from state.entries import decode_entry, encode_entry, group_of
from state.export_gaps import forget_gap, note_gaps, noted_gaps
from state.faults import FaultStore
from state.group import Group
from state.judging import HoursToJudge, forget_marks
from state.lake import LakeOrders
from state.layout import agree_on_layout, is_of_the_version_before, read_layout
from state.marks import marks_of
from state.mirror import forget_topics, known_topics, note_topics, release_lease, take_lease
from state.mqtt import PipelineBatcher, Scripts
from state.newest_input import note_newest_input, signs_of_input
from state.nodes import Nodes
from state.oldest import read_ages
from state.passed import until_passed
from state.presence_reader import PresenceReader
from state.publishing import Batch, positions_carried, publish
from state.queued import Message
from state.queued_positions import drop_queued, until_delivered
from state.rate_limits import spend
from state.raw import ARCHIVE_GROUP, Finisher, Part, Raw, keys_of, work_done
from state.raw_group import RawGroup
from state.refusals import Refusals
from state.released import Released, ReleasedWindow, ReleasedWriter, read_released, released_at
from state.retained import RetainedStore, tidy_retained
from state.routes import RouteStore, SubscriptionOptions
from state.sealing import Sealing, seal_with
from state.server import redis_state, rewrite_append_only
from state.sessions import Change, SessionStore
from state.slots import partition_of, tag
from state.sources import Sources, read_sources
from state.status import read_status
from state.tidying import tidy
from state.traces import Note, Notes
from state.users import USERS, UserStore
from state.window_stream import WINDOWS, ExportedWindow, WindowStream
from state.windows import WindowCounts
from tests.conftest import NOON
from tests.deploy.access import others
from tests.deploy.access.items import Somebody, rule

CAR = KindId("car")
DEVICE, AWAY = "d" * 32, "a" * 32
DUBLIN = ZoneInfo("Europe/Dublin")
MINUTE = system_clock() // 60_000 * 60_000
"""Of these days, for Redis counts by its own clock in none that is long over."""
Work = Callable[[Redis, int], Awaitable[None]]


def _letter() -> DeadLetter:
    return DeadLetter(Reason.NOT_GEOJSON, "of a test", "car-iotp", NOON, payload=b"x")


def _message() -> RawMessage:
    return RawMessage("car-iotp", "", "anonymous", NOON, b"{}")


async def broker(client: Redis, partitions: int) -> None:
    await redis_state(client)
    await agree_on_layout(client, partitions)
    seal_with(client, Sealing(client))
    raw = Raw(client=client, partitions=partitions)
    for partition in range(partitions):
        assert (await raw.append(partition, [encode_entry([group_of(_message())])], most=100)).taken
    scripts = Scripts(client)
    nodes, turns = Nodes(client, scripts), PipelineBatcher(scripts)
    await nodes.join("n:1")
    assert await nodes.beat("n:1") is not None
    sessions = SessionStore(client, turns)
    opened = {"owner": "u:ann", "clean": False, "now": NOON, "will": Message("will", b"", 0), "most": (10, 10)}
    assert not isinstance(await sessions.open("n:1", 1, "phone", **opened), str)  # type: ignore[arg-type]
    wants = [("news/#", SubscriptionOptions(1))]
    assert await sessions.subscribe(Change("n:1", 1, "phone", wants, wants, states=True, limits=(9999, 9999))) == set()
    batch = Batch(
        node="n:1",
        number=1,
        version="0-0",
        now=NOON,
        inbox_max=9999,
        queue_limits=[100, 9999, 9999, 9999, 60_000, 60_000],
        retained_limits=[100, 9999, 100, 9999],
        guards=[],
        inboxes=[("n:1", [(0, 1, 1)])],
        queues=[(0, 1, ["news/#"], ["phone"], False), (0, 1, ["news/#"], ["phone"], True)],
        retained=[(0, "v1/a", 1, True, 1), (0, "news/a", 1, False, 0)],
        states=[],
        positions=True,
    )
    assert await publish(scripts, batch, [b"\x95\xa1a\xc4\x00\x01\xc2\xc2"]) is not None
    await sessions.acknowledge("phone", [1])
    await sessions.received("phone", [2])
    await sessions.complete("phone", [2])
    await sessions.release("phone", 7)
    await sessions.expire(NOON, 10)
    await sessions.erase(10)
    await sessions.sweep(NOON, 10)
    await tidy_retained(scripts, ["closed"])
    retained = RetainedStore(client)
    await retained.messages(await retained.topics())
    routes = RouteStore(client)
    await routes.newest_version()
    await routes.changes("0-0")
    await routes.page(0)
    await nodes.wait("n:1", 0, "0-0", count=10, block_ms=1)
    await nodes.take("n:1", 1)
    await nodes.will("n:1", 1)
    await sessions.close("n:1", 1, "phone", expires=NOON, forget_will=True)
    await nodes.join("n:2")
    await nodes.mark_dead("n:2")
    await nodes.reap("n:2", expires=NOON, count=10)
    await note_newest_input(client, {CAR: NOON})
    users = UserStore(client, key=USERS, kind=Somebody, name_of=lambda each: each.name)
    await users.get(["ann"])
    await users.all()
    await users.version()
    apps = AppStore(client)
    await apps.number()
    await apps.routes()


async def decoder(client: Redis, partitions: int) -> None:
    await agree_on_layout(client, partitions)
    seal_with(client, sealing := Sealing(client))
    finisher = Finisher(client=client, partitions=partitions, dead_letters_max=10)
    archived = 0
    for partition in range(partitions):
        group = RawGroup(client=client, partition=partition, partitions=partitions, consumer="a", claim_after_ms=0)
        await group.create()
        await group.own(10)
        await group.abandoned(10)
        entries = await group.read(10)
        assert [len(decode_entry(fields)) for _, fields in await group.opened(entries)] == [1] * len(entries)
        for entry_id, _ in entries:
            await group.keep([entry_id])
            done = {"totals": Counter(outside=1), "positions": [_position(partition)], "letters": [_letter()]}
            assert await finisher.finish(partition, [Part(entry_id, 0, None, 1)], **done) is None  # type: ignore[arg-type]
            archived += 1
        await group.trim()
        await group.dismiss()
        stream = keys_of(partition, partitions).positions
        archive = Group(client=client, stream=stream, group=ARCHIVE_GROUP, consumer="a", claim_after_ms=0)
        await archive.create()
        for entry_id, _ in await archive.read(10):
            await archive.acknowledge([entry_id])
        export = Group(client=client, stream=stream, group="export-parquet", consumer="a", claim_after_ms=0)
        await export.create()
        await export.claim_together(await export.own(10))
        await export.before("1-0", 1)
        await export.skip_before("1-0")
        await export.destroy()
        await _effects(client, partition, partitions)
        await tidy(client, tag(partition, partitions), ["library"], DEFAULT_KINDS, 0)
    assert archived
    await _windows(client, partitions)
    await _hours(client)
    await _exported(client)
    letters = DeadLetters(client, partitions=partitions)
    await letters.add([_letter()], 10)
    await letters.kept()
    await letters.expire(0)
    await Refusals(client).publish([("$SYS/broker/refused/car", b"x")])
    await present_version(client)
    await raise_number(client, 1)
    await advance_partitions(client, partitions, DEFAULT_KINDS)
    await signs_of_input(client, DEFAULT_KINDS)
    await positions_carried(client)
    await work_done(client, partitions)
    await read_ages(client, partitions)
    notes = Notes(client)
    await notes.add([Note("raw:{0}/1-0", frozenset(), NOON)])
    assert await notes.new()
    await _released(client, partitions)
    await _keys(client, partitions, sealing)


async def _keys(client: Redis, partitions: int, sealing: Sealing) -> None:
    await rewrite_append_only(client)
    await Sources(client).note({"anonymous"}, now=NOON)
    assert await sealing.destroy(client, partitions, letters_keep_s=-99 * 86_400) == 1
    keys = DeviceKeys(client)
    assert await keys.prepare(Rotation.WEEK, DUBLIN, now=NOON)
    assert await keys.destroy(now=NOON + 99 * 86_400_000)


async def _released(client: Redis, partitions: int) -> None:
    await PresenceReader(client, DEFAULT_KINDS, partitions=partitions, ttl=300).read(["library"], now=NOON)
    writer = ReleasedWriter(client)
    held = await writer.held()
    over = [ReleasedWindow(Width.MINUTE, NOON, recorded=True, counts={})]
    released = Released(NOON, "one", {"library": {CAR: 130}})
    assert await writer.tell(released, after=held.mark, walks=b"secret", over=over)
    assert (await writer.held()).walks == b"secret"
    await writer.stored(await writer.over(10))


async def _windows(client: Redis, partitions: int) -> None:
    dirty = DirtyWindows(client=client, partitions=partitions, timezone=DUBLIN, every_ms=0)
    claim = await dirty.claim(now=MINUTE + 86_400_000, until=MINUTE + 86_500_000, limit=100)
    assert claim
    await dirty.hand_over(claim)
    await dirty.settle(claim, claim.members, now=NOON)
    await dirty.hold([b"1m:0:library:car"], NOON)
    await dirty.dead_letter({b"1m:0:library:car": _letter()}, 10)
    assert await waiting(client, partitions) >= 0
    counts = WindowCounts(client=client, partitions=partitions, timezone=DUBLIN)
    assert await counts.read([Window(Width.MINUTE, MINUTE, "library", CAR)]) == [partitions]
    minutes = RecordedMinutes(client)
    await minutes.mark([(CAR, NOON)])
    await minutes.marks(10)
    await minutes.settle(NOON, CAR, await minutes.read(NOON, CAR))
    await minutes.discard(b"?")


async def _exported(client: Redis) -> None:
    orders = LakeOrders(client)
    await orders.ready([DEVICE], now=NOON)
    for device, order in (await orders.keep(now=NOON)).items():
        await orders.done(device, 1, since=NOON, now=NOON, order=order)
    await orders.keep(now=2 * NOON)
    await orders.lake_gone()
    await WindowStream(client).append([ExportedWindow("library", "car", "1m", NOON, NOON + 60_000, 1, NOON)])
    group = Group(client=client, stream=WINDOWS, group="export-parquet", consumer="a", claim_after_ms=0)
    await group.create()
    for entry_id, _ in await group.read(10):
        await group.dead_letter(entry_id, _letter(), 10)
    await group.destroy()
    await note_gaps(client, [NOON])
    for hour in await noted_gaps(client):
        await forget_gap(client, hour)


async def _hours(client: Redis) -> None:
    hours = HoursToJudge(client, keep_ms=10**12)
    await hours.note({NOON: NOON}, now=NOON)
    claimed = await hours.claim(now=NOON + 1, until=NOON + 2)
    assert claimed is not None
    assert await hours.settle(claimed, {DEVICE: frozenset()}, now=NOON)
    await hours.waiting(NOON)
    await marks_of(client, NOON)


def _position(partition: int) -> Position:
    return Position(CAR, f"{partition}{DEVICE[1:]}", MINUTE, MINUTE, -8.57, 52.67, ("campus", "library"), "gc1y1y1y")


async def _effects(client: Redis, partition: int, partitions: int) -> None:
    room = Room(partition, partitions, DUBLIN, lambda device: device[::-1], 0)
    effects = PartitionEffects(
        client=client,
        room=room,
        kinds=DEFAULT_KINDS,
        presence_ttl_ms=300_000,
        dead_letters_max=10,
        implausible_speed=70,
        writes=Writes(client),
    )
    outside = [Outside(CAR, AWAY, MINUTE, partition)]
    for at in (MINUTE, MINUTE + 60_000):
        for part in parts([_position(partition)], outside if at > MINUTE else [], room, now=at):
            await effects.apply(part, number=0, now=at)


async def _asked_of_the_lake(client: Redis) -> None:
    orders = LakeOrders(client)
    await orders.keeper_seen()
    await orders.ask([DEVICE], now=NOON)
    await orders.ready([DEVICE], now=NOON)
    await orders.outcome([DEVICE], now=0)
    await orders.forget([DEVICE])


async def _who_is_who(client: Redis) -> None:
    await read_sources(client)
    await DeviceKeys(client).read()


async def _take(client: Redis, partitions: int) -> None:
    seal_with(client, Sealing(client))
    await Raw(client=client, partitions=partitions).append(0, [encode_entry([group_of(_message())])], most=10)


async def api(client: Redis, partitions: int) -> None:
    assert await released_at(client) == (NOON, "one")
    assert await read_released(client) is not None
    await _begin(client, partitions)
    await _who_is_who(client)
    await spend(client, "requests", {"somebody": 1.0}, whole=10)
    keys = KeyStore(client, key=API_KEYS, kind=Somebody, name_of=lambda each: each.name)
    await keys.get(["a"])
    await keys.has_any()
    await keys.note_use("a", NOON)
    await note_question(
        client, Question(NOON, "a", "of ann", "of a test", "GET /v1/positions", "", "exact", 1, "of nobody")
    )
    await take_lease(client, "me", for_ms=1000, client_id="mirror-0")
    await note_topics(client, ["v1/a"])
    assert await known_topics(client) == {"v1/a"}
    await forget_topics(client, ["v1/a"])
    await release_lease(client, "me")
    apps = AppStore(client)
    assert await apps.put(rule(), replaces=0, by="test", at=NOON, why="a test")
    await apps.changes("shop", 10)
    await apps.slots()
    await apps.places()
    await apps.seen()
    await apps.figures(NOON)
    await apps.canary("shop")
    assert await apps.forget("shop", replaces=1, by="test", at=NOON, why="a test")
    faults = FaultStore(client)
    await faults.replace([Fault(between="front>api", kind="delay", until=NOON + 1, by="1")], now=NOON)
    await faults.replace([], now=NOON)
    await faults.faults(NOON)
    change = ZoneChange("library", NOON, "me", None)
    campus = StoredCampus("two", b"{}")
    assert await replace_campus(
        client, campus, replaces="one", changed=["library"], partitions=partitions, kinds=DEFAULT_KINDS, change=change
    )
    assert len(await zone_changes(client, "library")) == 1
    await signs_of_input(client, DEFAULT_KINDS)
    await note_newest_input(client, {CAR: NOON})
    await marks_of(client, NOON)
    await read_backlogs(client, partitions)
    hash_tag = tag(partition_of("phone", partitions), partitions)
    await forget_device(client, hash_tag, device=DEVICE, away=AWAY, kind=CAR, zones=["library"])
    await forget_marks(client, [DEVICE], now=NOON)
    await _asked_of_the_lake(client)
    await drop_queued(client, lambda _: True)
    await until_delivered(client, 0)
    letters = DeadLetters(client, partitions=partitions)
    found = [letter_id async for page in letters.raw_fields() for letter_id, _ in page]
    await letters.drop(found[:1])
    notes = Notes(client)
    await notes.skip()
    await notes.new()
    await until_passed(client, partitions, 0)


async def api_open(client: Redis, partitions: int) -> None:
    """What the other does not; the rest is the same."""
    reader = PresenceReader(client, DEFAULT_KINDS, partitions=partitions, ttl=300)
    await reader.read(["campus", "library"], now=NOON + 1)
    await _begin(client, partitions)


async def _begin(client: Redis, partitions: int) -> None:
    await redis_state(client)
    await agree_on_layout(client, partitions)
    await _take(client, partitions)


async def autoscaler(client: Redis, partitions: int) -> None:
    await read_backlogs(client, partitions)


async def controller(client: Redis, partitions: int) -> None:
    del partitions
    apps = AppStore(client)
    await apps.put_places({"shop/1": 1})
    await apps.see(NOON, [])
    await apps.routes()
    await apps.canaries()
    await apps.figures(NOON)
    # `end-faults`, where the API has no Redis to do it.
    await FaultStore(client).replace([], now=NOON)
    await KeyStore(client, key=API_KEYS, kind=Somebody, name_of=lambda each: each.name).all()
    await UserStore(client, key=USERS, kind=Somebody, name_of=lambda each: each.name).get(["ann"])


async def users_command(client: Redis, partitions: int) -> None:
    await _before(client, partitions)
    users = UserStore(client, key=USERS, kind=Somebody, name_of=lambda each: each.name)
    assert await users.put([Somebody("ann")]) == 1
    assert [each.name for each in await users.all()] == ["ann"]
    assert await users.remove(["ann"]) == 1


async def keys_command(client: Redis, partitions: int) -> None:
    await _before(client, partitions)
    keys = KeyStore(client, key=API_KEYS, kind=Somebody, name_of=lambda each: each.name)
    await keys.put(Somebody("a"))
    assert [each.name for each in await keys.all()] == ["a"]
    await keys.used()
    assert await keys.remove("a")


async def auditor(client: Redis, partitions: int) -> None:
    await _before(client, partitions)
    assert [each.purpose async for each in questions(client)] == ["of a test"]


async def dead_letters(client: Redis, partitions: int) -> None:
    await _before(client, partitions)
    seal_with(client, Sealing(client))
    letters = DeadLetters(client, partitions=partitions)
    found = [each async for each in letters.newest(Which())]
    assert found
    assert await letters.replay(found[:1]) <= 1
    await letters.drop([letter_id for letter_id, _ in found])
    await letters.kept()


async def status(client: Redis, partitions: int) -> None:
    await _before(client, partitions)
    await read_status(client, partitions)


async def _before(client: Redis, partitions: int) -> None:
    assert not await is_of_the_version_before(client)
    layout = await read_layout(client)
    assert layout is not None
    assert layout.partitions == partitions


WORK: dict[str, Work] = {
    # In this order: what one writes, others read. The last one removes all.
    "broker": broker,
    "decoder": decoder,
    "users-command": users_command,
    "keys-command": keys_command,
    "api": api,
    "api-open": api_open,
    "autoscaler": autoscaler,
    "controller": controller,
    "status": status,
    "auditor": auditor,
    "dead-letters": dead_letters,
    "health": others.health,
    "exporter": others.exporter,
    "keda": others.keda,
    "backup": others.backup,
    "replica": others.replica,
    "cluster": others.cluster,
    "sentinel": others.sentinel,
    "migrate": others.migrate,
}
