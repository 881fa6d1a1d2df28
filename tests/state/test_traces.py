from typing import Any, cast

from redis.asyncio import Redis

from state.traces import Note, Notes, origin_of
from tests.conftest import NOON

KEY = "traces:{campus}"
WINDOWS = frozenset({f"1m:{NOON}:campus:car", f"1m:{NOON}:kemmy:car"})


def test_an_entry_is_called_by_its_stream_and_id() -> None:
    assert origin_of(0, 1, b"1772366400000-0") == "raw:{0}/1772366400000-0"


async def test_notes_are_read_as_they_were_written_and_once(service_redis: Redis) -> None:
    counted = Note("raw:{0}/1-0", WINDOWS, NOON)
    stored = Note("raw:{0}/1-0", frozenset(), NOON + 5, stored=True)
    reader = Notes(service_redis)
    await Notes(service_redis).add([counted, stored])
    assert await reader.new() == [counted, stored]
    assert await reader.new() == []
    await Notes(service_redis).add([counted])
    assert await reader.new() == [counted]


async def test_who_begins_now_hears_of_what_follows_alone(service_redis: Redis) -> None:
    reader = Notes(service_redis)
    await reader.skip()
    await Notes(service_redis).add([Note("raw:{0}/1-0", WINDOWS, NOON)])
    await reader.skip()
    await Notes(service_redis).add([Note("raw:{0}/2-0", WINDOWS, NOON)])
    assert [note.origin for note in await reader.new()] == ["raw:{0}/2-0"]


async def test_the_newest_1000_notes_are_kept_for_an_hour(service_redis: Redis) -> None:
    await Notes(service_redis).add([Note(f"raw:{{0}}/{number}-0", WINDOWS, NOON) for number in range(1100)])
    found = await Notes(service_redis).new()
    assert (len(found), found[0].origin, found[-1].origin) == (1000, "raw:{0}/100-0", "raw:{0}/1099-0")
    assert 3_500_000 < int(cast("Any", await service_redis.pttl(KEY))) <= 3_600_000


async def test_what_no_decoder_wrote_is_passed_over(service_redis: Redis) -> None:
    await service_redis.xadd(KEY, {"o": b"\xff", "w": "", "a": "1", "s": "0"})
    await service_redis.xadd(KEY, {"nothing": "of ours"})
    await service_redis.xadd(KEY, {"o": "raw:{0}/1-0", "w": "", "a": "soon", "s": "0"})
    await Notes(service_redis).add([Note("raw:{0}/1-0", WINDOWS, NOON)])
    assert [note.origin for note in await Notes(service_redis).new()] == ["raw:{0}/1-0"]
