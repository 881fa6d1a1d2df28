import asyncio
import base64
import gzip
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from rich.console import Console
from typer.testing import CliRunner, Result

from core.errors import Reason
from core.messages import DeadLetter
from decoder.contents import contents
from decoder.dead_letters_command import app
from decoder.dead_letters_output import group_as_json, show_groups
from decoder.explain import Groups, app_of
from decoder.remedies import REMEDIES
from tests.conftest import NOON
from tests.raw_streams import add_dead_letters

OWNTRACKS: dict[str, Any] = {"_type": "location", "lat": 52.67, "lon": -8.57, "tst": 1550480460, "acc": 12, "tid": "ab"}
TRACCAR = {
    "location": {
        "timestamp": "2026-03-01T12:00:00Z",
        "coords": {"latitude": 52.67, "longitude": -8.57, "accuracy": 5, "speed": 1},
        "battery": {"level": 0.5, "is_charging": False},
    },
    "device_id": "bus-304",
}
FEATURE = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [-8.57, 52.67]},
    "properties": {"device_id": "bus-304"},
}
GPSLOGGER = {**FEATURE, "properties": {"time_long": 1772366400000, "provider": "gps", "accuracy": 4}}
OWNTRACKS_SHAPE = "JSON {_type: text, lat: number, lon: number, tst: number}"


def sent(document: object) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (sent(OWNTRACKS), "OwnTracks"),
        (base64.b64encode(sent(OWNTRACKS)), "OwnTracks"),
        (base64.b64encode(base64.b64encode(sent({"_type": "encrypted", "data": "AbCd"}))), "OwnTracks"),
        (gzip.compress(sent(OWNTRACKS), mtime=0), "OwnTracks"),
        (base64.b64encode(gzip.compress(sent({"locations": [FEATURE]}), mtime=0)), "Overland"),
        (gzip.compress(sent(OWNTRACKS), mtime=0)[:-20], "no JSON"),
        (gzip.compress(sent([0] * 40_000), mtime=0), "no JSON"),
        (sent(OWNTRACKS)[:-20], "OwnTracks"),
        (base64.b64encode(sent(OWNTRACKS))[:-20], "OwnTracks"),
        (sent(TRACCAR), "Traccar"),
        (sent([TRACCAR, TRACCAR]), "Traccar"),
        (
            sent({"position": {"fixTime": "noon", "latitude": 52.67}, "device": {"uniqueId": "b"}}),
            "Traccar",
        ),
        (sent({"locations": [FEATURE]}), "Overland"),
        (sent(GPSLOGGER), "GPSLogger"),
        (sent(FEATURE), "GeoJSON"),
        (sent({"type": "FeatureCollection", "features": [FEATURE]}), "GeoJSON"),
        (sent({"type": "LineString", "coordinates": [[-8.57, 52.67], [-8.58, 52.67]]}), "GeoJSON"),
        (sent({"latitude": "52.67", "longitude": "-8.57", "time": "2026-03-01T12:00:00Z"}), "flat JSON"),
        (sent({"hello": "world"}), "other JSON"),
        (sent([1, 2]), "other JSON"),
        (b"52.67,-8.57", "no JSON"),
        (b"\x00\xff\xfe", "no JSON"),
        (b"", "no JSON"),
    ],
)
def test_the_app_is_told_from_the_shape_of_its_messages(payload: bytes, told: str) -> None:
    assert app_of(contents(payload).shape) == told


def test_of_what_was_kept_without_a_shape_no_app_is_known() -> None:
    assert app_of("") == "(not known)"


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_whatever_was_sent_some_app_is_named(payload: bytes) -> None:
    assert app_of(contents(payload).shape) in {
        *("OwnTracks", "Traccar", "Overland", "GPSLogger", "GeoJSON", "flat JSON", "other JSON", "no JSON"),
    }


def letter(
    reason: Reason = Reason.NO_DEVICE, detail: str = "no device_id", *, at: int = NOON, shape: str = OWNTRACKS_SHAPE
) -> DeadLetter:
    return DeadLetter(reason, detail, "mobile-iotp", at, payload=None, size=90, shape=shape)


def test_letters_of_one_app_with_one_fault_are_a_group_and_the_newest_group_is_first() -> None:
    groups = Groups()
    groups.take([("1-0", letter()), ("2-0", letter(at=NOON + 9000)), ("3-0", letter(at=NOON + 1000))])
    groups.take([("4-0", letter(shape="JSON {type: text, geometry: {type: text}}", at=NOON + 5000))])
    groups.take([("5-0", letter(Reason.TOO_OLD, "older", at=NOON + 7000))])
    assert [(group.app, group.reason, group.count, group.last, group.newest) for group in groups.newest_first()] == [
        ("OwnTracks", "no_device", 3, NOON + 9000, "2-0"),
        ("OwnTracks", "too_old", 1, NOON + 7000, "5-0"),
        ("GeoJSON", "no_device", 1, NOON + 5000, "4-0"),
    ]


def test_sentences_that_differ_in_numbers_alone_are_one_group_with_the_sentence_of_the_newest() -> None:
    groups = Groups()
    groups.take([("1-0", letter(Reason.TOO_MANY_FEATURES, "501 features", at=NOON + 1))])
    groups.take([("2-0", letter(Reason.TOO_MANY_FEATURES, "640 features"))])
    for number in range(1000):
        key = f"{number:032x}:{NOON + number}"
        groups.take([(f"3-{number}", letter(Reason.REJECTED_DOCUMENT, f"forbidden ({key})", at=NOON - number))])
    assert [(group.detail, group.count) for group in groups.newest_first()] == [
        ("501 features", 2),
        (f"forbidden (00000000000000000000000000000000:{NOON})", 1000),
    ]


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_has_a_remedy_of_one_sentence_in_one_line(reason: Reason) -> None:
    assert 20 < len(REMEDIES[reason]) < 120
    assert REMEDIES[reason].endswith(".")
    assert "\n" not in REMEDIES[reason]


def test_an_app_is_told_what_to_do_in_its_own_words() -> None:
    groups = Groups()
    groups.take([("1-0", letter()), ("2-0", letter(shape="JSON {type: text}", at=NOON - 1))])
    assert [group.remedy for group in groups.newest_first()] == [
        "Give the phone an MQTT user of its own, or set the tracker id (`tid`).",
        "Send `device_id`, or give the device an MQTT user of its own (`python -m broker users add`).",
    ]


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_group_speaks_to_the_terminal(detail: str, shape: str) -> None:
    groups = Groups()
    groups.take([("1-0", letter(detail=detail, shape=shape))])
    output = io.StringIO()
    show_groups(Console(file=output, width=400), groups.newest_first())
    assert output.getvalue().replace("\n", "").isprintable()
    assert json.loads(group_as_json(groups.newest_first()[0]))["detail"] == detail


Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(redis_server: str) -> Run:
    async def invoke(*arguments: str) -> Result:
        environment = {"REDIS_URL": redis_server, "COLUMNS": "60"}
        return await asyncio.to_thread(CliRunner().invoke, app, ["explain", *arguments], env=environment)

    return invoke


async def test_the_command_explains_in_lines_that_no_terminal_is_too_narrow_for_or_since_a_time_in_json(
    redis_client: Redis, run: Run
) -> None:
    await add_dead_letters(
        redis_client, letter(), letter(at=NOON + 5000), letter(Reason.NOT_JSON, "ends", shape="bytes")
    )
    said = await run()
    assert said.exit_code == 0, said.output
    lines = said.stdout.splitlines()
    assert lines[-1] == "3 dead letters, 2 groups."
    assert lines[0].startswith("OwnTracks: 2 letters, last 2026-03-01T12:00:05Z, newest ")
    assert lines[1:3] == [
        "  no_device: no device_id",
        "  Give the phone an MQTT user of its own, or set the tracker id (`tid`).",
    ]
    assert "Let a library write the JSON" in lines[5]
    result = await run("--json", "--since", "2026-03-01T12:00:01Z")
    (line,) = result.stdout.splitlines()
    found = json.loads(line)
    assert found.pop("letter").partition("-")[0].isdigit()
    assert found == {
        "app": "OwnTracks",
        "reason": "no_device",
        "detail": "no device_id",
        "count": 1,
        "last": "2026-03-01T12:00:05Z",
        "remedy": "Give the phone an MQTT user of its own, or set the tracker id (`tid`).",
    }


async def test_where_there_is_no_letter_the_command_says_so(redis_client: Redis, run: Run) -> None:
    await redis_client.ping()
    result = await run()
    assert (result.exit_code, result.stdout) == (0, "0 dead letters, 0 groups.\n")
    assert (await run("--json")).stdout == ""
