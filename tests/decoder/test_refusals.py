"""Whom a decoder tells of what it refuses, what it says, and how much of it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from core.errors import InvalidMessageError, Reason, UnavailableError
from core.kinds import DEFAULT_KINDS, Kinds, load_kinds
from core.messages import RawMessage
from decoder.batch import BatchDecoder
from decoder.dead_letters import Refused
from decoder.metrics import DecoderMetrics
from decoder.refusals import RefusalTeller
from runtime import retry
from runtime.service import Stop
from state.group import Group
from tests.conftest import NOON, eventually, holds
from tests.decoder.conftest import MakeObserver
from tests.decoder.test_no_trace import DEVICE, TRACES, WAYS, WRAPPINGS, payload
from tests.raw_streams import append


class Told:
    """Takes the place of Redis: remembers, or is away."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.sizes: list[int] = []
        self.away = False
        self.lost = 0

    async def publish(self, messages: list[tuple[str, bytes]]) -> int:
        if self.away:
            raise UnavailableError("Redis is away")
        self.sizes.append(len(messages))
        self.messages += [(topic, json.loads(text)) for topic, text in messages]
        return self.lost


@pytest.fixture
def told() -> Told:
    return Told()


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


MakeTeller = Callable[..., RefusalTeller]


@pytest.fixture
async def teller_of(told: Told, metrics: DecoderMetrics, seconds: Seconds) -> AsyncIterator[MakeTeller]:
    stop = Stop()
    running: list[asyncio.Task[None]] = []

    def make(*, echo: bool = False, kinds: Kinds = DEFAULT_KINDS, runs: bool = True) -> RefusalTeller:
        teller = RefusalTeller(refusals=told, kinds=kinds, echo=echo, metrics=metrics, seconds=seconds)  # type: ignore[arg-type]
        if runs:
            running.append(asyncio.create_task(teller.run(stop)))
        return teller

    yield make
    stop.set()
    await asyncio.gather(*running)


def refused(
    user: str = "car-7", role: str = "car", topic: str = "car-iotp", reason: Reason = Reason.NOT_JSON
) -> Refused:
    return Refused(RawMessage(topic, user, role, NOON, b"%"), InvalidMessageError(reason, "a sentence"), None)


async def heard(told: Told, count: int) -> list[tuple[str, dict[str, Any]]]:
    await eventually(holds(lambda: len(told.messages) >= count))
    return told.messages


def untold(metrics: DecoderMetrics, reason: str) -> float | None:
    return metrics.registry.get_sample_value("decoder_untold_refusals_total", {"reason": reason})


async def test_services_hear_of_all_by_kind_and_devices_nothing_unless_the_setting_says_so(
    told: Told, teller_of: MakeTeller
) -> None:
    teller_of().note([refused(), refused("ann", "mobile", "mobile-iotp/x", Reason.TOO_OLD)])
    assert await heard(told, 2) == [
        ("$SYS/broker/refused/car", {"reason": "not_json", "detail": "a sentence", "user": "car-7"}),
        ("$SYS/broker/refused/mobile", {"reason": "too_old", "detail": "a sentence", "user": "ann"}),
    ]


async def test_a_device_hears_of_its_own_and_of_whom_is_said_by_the_topic(told: Told, teller_of: MakeTeller) -> None:
    teller_of(echo=True).note([refused()])
    assert (await heard(told, 2))[1] == (
        "devices/car-7/refused",
        {"reason": "not_json", "detail": "a sentence", "received_at": "2026-03-01T12:00:00Z"},
    )


@pytest.mark.parametrize(
    ("user", "role"),
    [
        ("", "anonymous"),
        ("gate", "gateway"),
        ("reports", "service"),
        ("a/b", "car"),
        ("+", "car"),
        ("#", "car"),
        ("", "car"),
    ],
)
async def test_who_is_no_device_or_has_no_topic_hears_nothing_and_services_all_the_same(
    told: Told, teller_of: MakeTeller, user: str, role: str
) -> None:
    teller = teller_of(echo=True)
    teller.note([refused(user, role)])
    teller.note([refused("last", "mobile", "mobile-iotp")])
    topics = [topic for topic, _ in await heard(told, 3)]
    assert topics == ["$SYS/broker/refused/car", "$SYS/broker/refused/mobile", "devices/last/refused"]
    assert told.messages[0][1].get("user", "") == user


@pytest.mark.parametrize(
    "each", [refused(topic="elsewhere"), refused(role="tram"), refused(topic="$SYS/x"), refused(topic="")]
)
async def test_what_is_of_no_kind_is_told_to_nobody(told: Told, teller_of: MakeTeller, each: Refused) -> None:
    teller = teller_of(echo=True)
    teller.note([each, refused("last")])
    assert {topic for topic, _ in await heard(told, 2)} == {"$SYS/broker/refused/car", "devices/last/refused"}
    assert len(told.messages) == 2


async def test_a_mapped_topic_is_of_its_kind(told: Told, teller_of: MakeTeller) -> None:
    kinds = load_kinds(None, "owntracks/+/+=mobile")
    teller_of(kinds=kinds).note([refused("ann", "mobile", "owntracks/ann/phone")])
    assert (await heard(told, 1))[0][0] == "$SYS/broker/refused/mobile"


async def test_of_one_device_one_a_second_is_told_and_the_rest_counted_and_others_notice_nothing(
    told: Told, teller_of: MakeTeller, metrics: DecoderMetrics, seconds: Seconds
) -> None:
    teller = teller_of(echo=True)
    teller.note([refused("flood") for _ in range(5000)] + [refused("quiet")])
    assert [topic for topic, _ in await heard(told, 4)] == [
        "$SYS/broker/refused/car",
        "devices/flood/refused",
        "$SYS/broker/refused/car",
        "devices/quiet/refused",
    ]
    assert untold(metrics, "rate") == 4999
    seconds.now = 0.5
    teller.note([refused("flood")])
    seconds.now = 1.5
    teller.note([refused("flood")])
    assert len(await heard(told, 6)) == 6
    assert untold(metrics, "rate") == 5000


async def test_of_a_gateway_ten_a_second_are_told(
    told: Told, teller_of: MakeTeller, metrics: DecoderMetrics, seconds: Seconds
) -> None:
    teller = teller_of(echo=True)
    teller.note([refused("gate", "gateway") for _ in range(500)])
    teller.note([refused("", "anonymous") for _ in range(500)])
    assert len(await heard(told, 20)) == 20
    seconds.now = 0.1
    teller.note([refused("gate", "gateway") for _ in range(500)])
    assert len(await heard(told, 21)) == 21
    assert untold(metrics, "rate") == 1479


async def test_a_thousand_messages_wait_and_what_does_not_fit_is_counted(
    told: Told, teller_of: MakeTeller, metrics: DecoderMetrics
) -> None:
    teller = teller_of(echo=True, runs=False)
    teller.note([refused(f"u{number}") for number in range(700)])
    assert untold(metrics, "full") == 400
    stop = Stop()
    running = asyncio.create_task(teller.run(stop))
    assert len(await heard(told, 1000)) == 1000
    stop.set()
    await running
    assert max(told.sizes) == 100
    assert metrics.registry.get_sample_value("decoder_told_refusals_total") == 1000


async def test_what_nodes_have_no_room_for_is_counted(
    told: Told, teller_of: MakeTeller, metrics: DecoderMetrics
) -> None:
    told.lost = 3
    teller_of().note([refused()])
    await heard(told, 1)
    await eventually(holds(lambda: untold(metrics, "inbox") == 3))


async def test_while_redis_is_away_it_waits_and_tells_afterwards(
    told: Told, teller_of: MakeTeller, metrics: DecoderMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FOR_REDIS", retry.Backoff(initial=0.01, longest=0.01, jitter=0))
    told.away = True
    teller = teller_of()
    teller.note([refused("a")])
    await asyncio.sleep(0)
    # Who hands over never waits.
    teller.note([refused(f"u{number}") for number in range(2000)])
    assert untold(metrics, "full") in {1000, 1001}
    told.away = False
    assert [body["user"] for _, body in (await heard(told, 1000))[:2]] == ["a", "u0"]


async def test_a_stage_that_met_a_defect_tells_what_it_had_in_hand(
    told: Told, teller_of: MakeTeller, monkeypatch: pytest.MonkeyPatch
) -> None:
    teller = teller_of(runs=False)
    teller.note([refused("a"), refused("b")])

    async def broken(_: object) -> int:
        raise ValueError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(told, "publish", broken)
        with pytest.raises(ValueError, match="a defect"):
            await teller.run(Stop())
    stop = Stop()
    running = asyncio.create_task(teller.run(stop))
    assert [body["user"] for _, body in await heard(told, 2)] == ["a", "b"]
    stop.set()
    await running


@pytest.fixture
def observed(
    redis_client: Redis, observer_of: MakeObserver, group_of: Callable[[str], Group], teller_of: MakeTeller
) -> Callable[..., Any]:
    async def observe(*messages: RawMessage) -> None:
        observer = observer_of(teller=teller_of(echo=True))
        group = group_of("a")
        await group.create()
        for message in messages:
            await append(redis_client, message)
        await observer(await group.read(len(messages)))

    return observe


async def test_what_the_stage_refuses_is_told_and_what_is_outside_is_not_refused(
    told: Told, observed: Callable[..., Any]
) -> None:
    outside = base64.b64encode(b'{"type":"Point","coordinates":[-8.470613,51.897913]}')
    await observed(
        RawMessage("car-iotp", "far", "car", NOON, outside),
        RawMessage("car-iotp", "bad", "car", NOON, base64.b64encode(b'{"type":"Polygon"}')),
    )
    await heard(told, 2)
    assert {topic for topic, _ in told.messages} == {"$SYS/broker/refused/car", "devices/bad/refused"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(way=st.sampled_from(sorted(WAYS)), wrapping=st.sampled_from(sorted(WRAPPINGS)), seed=st.integers(0, 2**32))
def test_what_is_told_never_holds_a_place_or_an_id(decoder: BatchDecoder, way: str, wrapping: str, seed: int) -> None:
    sent = payload(Random(seed), way, wrapping)  # noqa: S311 - to be repeatable, not secret
    for role in ("car", "gateway"):
        batch = decoder.decode([RawMessage("car-iotp", "sender", role, NOON, sent)])
        for each in batch.refused:
            text = each.error.detail.encode()
            assert not [trace for trace in TRACES if trace in text], text
            assert DEVICE.encode() not in text
