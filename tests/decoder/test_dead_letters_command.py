import asyncio
import base64
import io
import json
import os
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from rich.console import Console
from typer.testing import CliRunner, Result

from core.errors import Reason
from core.messages import DeadLetter, RawMessage
from decoder.batch import BatchDecoder
from decoder.dead_letters_command import app
from decoder.dead_letters_output import as_json, described, escaped, row, show_table
from decoder.effects import Effects
from state.dead_letters import DeadLetters, Found, Kept, Which, share
from state.entries import decode_entry
from state.group import Group
from state.raw import keys_of
from state.status import read_status
from tests.conftest import DEAD, NOON, RAW, TOTALS
from tests.decoder.conftest import LIBRARY, finish
from tests.decoder.counters import counted_windows
from tests.raw_streams import add_dead_letters, raw_messages

BROKEN = base64.b64encode(b'{"type":')
OUTSIDE = DeadLetter(Reason.BAD_PROPERTY, "speed is a word", "mobile-iotp", NOON + 1000, None)
NONE = Kept(ever={}, kept=0, replayed=0, dropped=0, expired=0)
Run = Callable[..., Awaitable[Result]]


def letter(payload: bytes | None = BROKEN, *, reason: Reason = Reason.NOT_JSON, at: int = NOON) -> DeadLetter:
    return DeadLetter(reason, "it ends too soon", "car-iotp/x", at, payload, user="car-7", role="car")


@pytest.fixture
def run(redis_server: str) -> Run:
    """Runs `dead-letters` with arguments, and `typed` as its input."""

    async def invoke(*arguments: str, typed: str = "", partitions: int = 1) -> Result:
        environment = {"REDIS_URL": redis_server, "COLUMNS": "250", "PARTITIONS": str(partitions)}
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, input=typed, env=environment)

    return invoke


async def added(client: Redis, *letters: DeadLetter) -> list[str]:
    """Their ids."""
    await add_dead_letters(client, *letters)
    return (await kept_ids(client))[-len(letters) :]


async def kept_ids(client: Redis) -> list[str]:
    found = cast("Any", await client.xrange(DEAD))
    return [entry_id.decode() for entry_id, _ in found]


async def test_the_list_is_of_a_reason_and_since_a_time(redis_client: Redis, run: Run) -> None:
    ids = await added(redis_client, letter(), letter(at=NOON + 5000), OUTSIDE)

    async def listed(*arguments: str) -> list[str]:
        result = await run("list", "--json", *arguments)
        assert result.exit_code == 0, result.output
        return [json.loads(line)["id"] for line in result.stdout.splitlines()]

    assert await listed() == ids[::-1]
    assert await listed("--limit", "1") == ids[2:]
    assert await listed("--reason", "not_json") == [ids[1], ids[0]]
    assert await listed("--since", "2026-03-01T12:00:01Z") == [ids[2], ids[1]]
    assert await listed("--since", "2026-03-01T12:00:01Z", "--reason", "not_json") == [ids[1]]


async def test_the_list_goes_back_as_far_as_it_must(redis_client: Redis, run: Run) -> None:
    ids = await added(redis_client, *[OUTSIDE] * 2, *[letter()] * 250)
    result = await run("list", "--reason", "bad_property", "--json")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [ids[1], ids[0]]


async def test_the_table_names_ids_in_full_and_says_what_became_of_the_others(redis_client: Redis, run: Run) -> None:
    (first, second) = await added(redis_client, letter(), letter())
    await run("drop", first, "--yes")
    result = await run()
    assert second in result.stdout
    assert (
        "2 so far (not_json 2): 1 kept, 0 replayed, 1 dropped, 0 older than DEAD_LETTERS_KEEP, 0 pushed"
        in result.stdout
    )


async def test_one_letter_is_shown_with_its_payload_decoded(redis_client: Redis, run: Run) -> None:
    payload = b'{"type": "Feature", "n": 1.50, "n": [], "evil": "\xe2\x80\xae\\u001b[31m", "place": "\xc3\x81ras"}'
    (letter_id,) = await added(redis_client, letter(base64.b64encode(payload)))
    result = await run("show", letter_id)
    assert result.exit_code == 0, result.output
    for text in (
        letter_id,
        "2026-03-01T12:00:00Z",
        "car-iotp/x",
        "car-7",
        "not_json",
        "it ends too soon",
        '  "n": 1.50,\n  "n": [],\n',
        r'"evil": "\u202e\u001b[31m"',
        "Áras",
    ):
        assert text in result.stdout


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (None, "(not kept)"),
        (b"%%%\x1b[2J", "not base64:\n%%%\\x1b[2J"),
        (base64.b64encode(b"\x00\xff{"), "3 bytes, not JSON:\n\\x00\\xff{"),
        (base64.b64encode(b"[" * 5000), "not JSON"),
        (b"", "not JSON"),
    ],
)
def test_a_payload_that_is_no_json_is_shown_as_it_is(payload: bytes | None, shown: str) -> None:
    assert shown in described(("1-0", letter(payload)))


@settings(max_examples=200)
@given(st.binary(max_size=60), st.booleans(), st.text(max_size=20))
@example(b'"\x7f\xc2\x9b"', True, "\x1b[2J\x7f\x9b\u202e\r\n[bold]")  # noqa: FBT003
def test_no_letter_speaks_to_the_terminal(payload: bytes, encoded: bool, topic: str) -> None:  # noqa: FBT001
    sent = base64.b64encode(payload) if encoded else payload
    found = ("1-0", DeadLetter(Reason.NOT_JSON, topic, topic, NOON, sent, user=topic))
    for line in described(found).split("\n"):
        assert line.isprintable()
    assert escaped(topic).isprintable()
    assert as_json(found).isprintable()
    assert as_json(found).isascii()
    assert json.loads(as_json(found))["topic"] == topic
    output = io.StringIO()
    show_table(Console(file=output, width=400), [row(found)], NONE)
    assert output.getvalue().replace("\n", "").isprintable()


def test_what_the_terminal_cannot_write_does_not_end_the_list() -> None:
    written = io.BytesIO()
    output = io.TextIOWrapper(written, encoding="ascii")
    show_table(
        Console(file=output, width=400), [row(("1-0", DeadLetter(Reason.NOT_JSON, "", "Áras", NOON, None)))], NONE
    )
    output.flush()
    assert rb"\xc1ras" in written.getvalue()


def test_a_payload_that_is_laid_out_does_not_become_a_thousand_times_as_long() -> None:
    deep = 900
    nested = b"[" * deep + b"1" + b"]" * deep
    wide = b"[" * deep + b",".join([b"1"] * 20_000) + b"]" * deep
    assert "\n        [\n" in described(("1-0", letter(base64.b64encode(b"[[[[[1]]]]]"))))
    for data in (nested, wide):
        assert data.decode() in described(("1-0", letter(base64.b64encode(data))))


@pytest.mark.parametrize("arguments", [[], ["--json"]])
async def test_a_long_list_is_not_in_memory_as_a_whole(
    redis_client: Redis, redis_server: str, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    for _ in range(8):
        await added(redis_client, *[letter(base64.b64encode(bytes(45_000)))] * 100)
    monkeypatch.setenv("REDIS_URL", redis_server)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:  # noqa: ASYNC230 - it never blocks
        monkeypatch.setattr(sys, "stdout", nowhere)
        tracemalloc.start()
        try:
            await asyncio.to_thread(app, ["list", "--limit", "800", *arguments], standalone_mode=False)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # The payloads are 48 MB in all.
    assert peak < 30_000_000


async def test_a_table_has_a_limit_and_lines_have_a_greater_one(run: Run) -> None:
    refused = await run("list", "--limit", "10001")
    assert refused.exit_code == 2
    assert "--json" in refused.stderr
    assert (await run("list", "--limit", "1000000", "--json")).exit_code == 0
    assert (await run("list", "--limit", "1000001", "--json")).exit_code == 2


async def test_a_replayed_message_is_the_one_that_came(redis_client: Redis, run: Run) -> None:
    (letter_id,) = await added(redis_client, letter())
    result = await run("replay", letter_id)
    assert (result.exit_code, result.stdout) == (0, "1 replayed, 0 cannot be: their payload was not kept\n")
    assert await raw_messages(redis_client) == [RawMessage("car-iotp/x", "car-7", "car", NOON, BROKEN)]
    assert not await kept_ids(redis_client)


async def test_a_replay_is_of_a_reason_or_of_all_and_skips_what_has_no_payload(redis_client: Redis, run: Run) -> None:
    ids = await added(redis_client, letter(), letter(reason=Reason.NO_DEVICE), OUTSIDE)
    assert (await run("replay", "--reason", "no_device")).exit_code == 0
    assert await kept_ids(redis_client) == [ids[0], ids[2]]
    result = await run("replay", "--all")
    assert (result.exit_code, result.stdout) == (0, "1 replayed, 1 cannot be: their payload was not kept\n")
    assert await kept_ids(redis_client) == [ids[2]]
    assert len(await raw_messages(redis_client)) == 2


async def test_a_dry_run_says_what_would_be_and_does_nothing(redis_client: Redis, run: Run) -> None:
    ids = await added(redis_client, letter(), OUTSIDE)
    result = await run("replay", "--all", "--dry-run")
    assert result.stdout == "1 would be replayed, 1 cannot be: their payload was not kept\n"
    assert (await kept_ids(redis_client), await raw_messages(redis_client)) == (ids, [])


async def test_many_letters_are_replayed_each_in_its_partition(redis_client: Redis, run: Run) -> None:
    kept = DeadLetters(redis_client, partitions=3)
    for partition, count in enumerate((120, 7, 1)):
        await kept.add([letter()] * count, 1000, partition=partition)
    assert "128 replayed" in (await run("replay", "--all", partitions=3)).stdout
    assert [len(await raw_messages(redis_client, partition, 3)) for partition in range(3)] == [120, 7, 1]
    assert (await read_status(redis_client, 3)).dead_letters == 0


async def test_letters_of_all_partitions_are_one_list_the_newest_first_and_their_ids_say_where_they_are(
    redis_client: Redis, run: Run
) -> None:
    keys = [keys_of(partition, 3).dead for partition in range(3)]
    for number, key in enumerate((keys[2], keys[0], keys[1], "dead:{campus}", keys[2])):
        await redis_client.xadd(key, cast("Any", letter(at=NOON + number).encode()), id=f"{1000 + number}-0")
    listed = (await run("list", "--json", partitions=3)).stdout.splitlines()
    ids = [json.loads(line)["id"] for line in listed]
    assert ids == ["1004-0@2", "1003-0@campus", "1002-0@1", "1001-0", "1000-0@2"]
    assert "1002-0@1" in (await run("show", "1002-0@1", partitions=3)).stdout
    assert (await run("show", "1002-0@2", partitions=3)).exit_code == 1
    assert (await run("drop", "1004-0@2", "1001-0@0", "--yes", partitions=3)).stdout == "2 dropped\n"
    assert (await run("replay", "1002-0@1", partitions=3)).stdout.startswith("1 replayed")
    listed = (await run("list", "--json", partitions=3)).stdout.splitlines()
    assert [json.loads(line)["id"] for line in listed] == ["1003-0@campus", "1000-0@2"]


async def test_a_partition_keeps_its_share_of_the_letters(redis_client: Redis) -> None:
    assert [share(1000, partitions) for partitions in (1, 3, 16)] == [1000, 334, 63]
    kept = DeadLetters(redis_client, partitions=3)
    await kept.add([letter()] * 5, share(10, 3), partition=1)
    assert (await kept.kept()).kept == 4
    assert (await kept.kept()).capped == 1


async def test_two_who_replay_the_same_letter_send_it_once(redis_client: Redis) -> None:
    await added(redis_client, letter())
    found: list[Found] = [each async for each in DeadLetters(redis_client, partitions=1).newest(Which())]
    assert [await DeadLetters(redis_client, partitions=1).replay(found) for _ in range(2)] == [1, 0]
    assert len(await raw_messages(redis_client)) == 1


async def test_where_redis_takes_no_more_a_letter_stays(redis_client: Redis, run: Run) -> None:
    ids = await added(redis_client, letter())
    await redis_client.config_set("maxmemory", "1")
    try:
        result = await run("replay", "--all")
    finally:
        await redis_client.config_set("maxmemory", "0")
    assert result.exit_code == 1
    assert "Redis takes nothing at present" in result.stderr
    assert (await kept_ids(redis_client), await raw_messages(redis_client)) == (ids, [])


async def test_what_is_still_bad_is_a_dead_letter_again_and_what_is_good_now_counts(
    redis_client: Redis, run: Run, effects: Effects, decoder: BatchDecoder
) -> None:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": list(LIBRARY)},
        "properties": {"device_id": "a"},
    }
    good = base64.b64encode(json.dumps(feature).encode())
    await added(redis_client, letter(), DeadLetter(Reason.NO_DEVICE, "then", "car-iotp", NOON, good))
    await run("replay", "--all")
    group = Group(client=redis_client, stream=RAW, group="observe", consumer="a", claim_after_ms=0)
    await group.create()
    read = await group.read(10)
    batch = decoder.decode([message for _, fields in read for message in decode_entry(fields)])
    await finish(redis_client, effects, batch, [entry_id for entry_id, _ in read])
    (again,) = [each async for _, each in DeadLetters(redis_client, partitions=1).newest(Which())]
    assert (again.reason, again.payload, again.received_at) == (Reason.NOT_JSON, None, NOON)
    assert (again.size, again.shape) == (12, "base64 of broken JSON with type")
    assert (await counted_windows(redis_client))[f"1m:{NOON}:campus:car"] == 1
    totals = await redis_client.hgetall(TOTALS)
    assert (totals[b"replayed"], totals[b"dead:not_json"]) == (b"2", b"2")


async def test_letters_are_dropped_after_a_question(redis_client: Redis, run: Run) -> None:
    ids = await added(redis_client, letter(), letter(at=NOON + 5000), OUTSIDE)
    declined = await run("drop", "--all", typed="n\n")
    assert declined.exit_code == 1
    assert "Remove 3 dead letters for ever?" in declined.output
    assert await kept_ids(redis_client) == ids
    accepted = await run("drop", "--reason", "not_json", "--before", "2026-03-01T12:00:05Z", typed="y\n")
    assert "1 dropped" in accepted.stdout
    assert await kept_ids(redis_client) == ids[1:]
    assert (await run("drop", "--all", "--yes")).stdout == "2 dropped\n"
    assert not await kept_ids(redis_client)
    assert await redis_client.hget(TOTALS, "dropped") == b"3"


@pytest.mark.parametrize("command", ["show", "replay", "drop"])
async def test_a_letter_that_is_not_there_is_said_to_be_missing(redis_client: Redis, run: Run, command: str) -> None:
    assert not await kept_ids(redis_client)
    result = await run(command, "1-1")
    assert result.exit_code == 1
    assert "no such dead letter" in result.stderr
    assert "1-1" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["replay"], "--all"),
        (["drop"], "--all"),
        (["replay", "1-1", "--all"], "ids, or a filter"),
        (["drop", "1-1", "--reason", "not_json"], "ids, or a filter"),
        (["show", "first"], "1772366400000-0"),
        (["list", "--since", "yesterday"], "RFC 3339"),
        (["list", "--reason", "ugly"], "not_json"),
    ],
)
async def test_what_cannot_be_meant_is_refused_and_explained(run: Run, arguments: list[str], named: str) -> None:
    result = await run(*arguments)
    assert result.exit_code == 2
    assert named in result.stderr


@pytest.mark.parametrize(
    ("changed", "entry_id"),
    [
        ({"reason": "of tomorrow"}, "*"),
        ({"received_at": 10**30}, "*"),
        ({"received_at": "-1"}, "*"),
        ({"received_at": "9" * 5000}, "*"),
        ({"topic": b"\xff"}, "*"),
        ({"role": b"\xff", "payload": b""}, "*"),
        ({"reason": "of tomorrow"}, "18446744073709551615-1"),
    ],
)
async def test_an_entry_that_this_version_cannot_read_is_listed_and_can_be_dropped(
    redis_client: Redis, run: Run, changed: dict[str, Any], entry_id: str
) -> None:
    fields: dict[Any, Any] = {**letter().encode(), **changed}
    await redis_client.xadd(DEAD, fields, id=entry_id)
    (entry_id,) = await kept_ids(redis_client)
    assert "malformed_entry" in (await run("list")).stdout
    assert json.loads((await run("list", "--json")).stdout)["reason"] == "malformed_entry"
    assert "malformed_entry" in (await run("show", entry_id)).stdout
    assert "0 replayed, 1 cannot be" in (await run("replay", "--all")).stdout
    assert (await run("drop", entry_id, "--yes")).stdout == "1 dropped\n"
