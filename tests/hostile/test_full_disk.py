"""The disk that holds everything is full: nothing that was acknowledged is lost, and with room again it all goes on."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.settings import CommonSettings
from state.client import open_redis
from state.disk import is_nearly_full
from state.durability import Writes
from tests.conftest import eventually, holds
from tests.hostile.conftest import MIB, OwnRedis, SmallDisk
from tests.hostile.running import Device, Hostile, device

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
WORDS = ("positions wait in their devices until", "the disk of Redis is nearly full", "MISCONF")
POSITIONS = 8_000
LONG = "x" * 1500
"""A note that makes a position take 2 KiB of a stream: few of them fill a disk."""


def until_full(system: Hostile) -> None:
    """Wait until it is said that nothing more is taken; it may be over soon, for Redis writes its file anew then."""
    system.wait(lambda: any(word in system.system.text for word in WORDS), "it is said that the disk is full")


def has_all_after_a_new_start(
    start_system: Callable[..., Hostile], system: Hostile, disk: SmallDisk, phones: Device
) -> None:
    """With more room, a system that is started anew has each position that was acknowledged."""
    acknowledged = phones.acknowledged
    assert acknowledged
    system.check_nobody_died()
    assert system.system.stop() == 0, system.system.text[-6000:]
    disk.resize(300)
    again = start_system(disk.folder)
    again.until_ready()
    again.until_worked_off()
    # More is possible: what was kept, and the answer was lost with the connection.
    assert acknowledged <= again.documents() <= phones.sent


def test_a_disk_that_fills_with_positions_and_then_gets_room(
    start_system: Callable[..., Hostile], small_disk: Callable[[float], SmallDisk]
) -> None:
    disk = small_disk(14)
    system = start_system(disk.folder, FORGET_AFTER="100000")
    with device(system, "many", window=1000, note=LONG) as phones:
        phones.publish(POSITIONS)
        until_full(system)
        disk.resize(300)
        system.wait(lambda: phones.acknowledged == POSITIONS, "all positions are acknowledged", limit=200)
    system.until_ready()
    system.until_worked_off()
    assert system.documents() == POSITIONS
    system.check_nobody_died()


def test_a_disk_that_fills_with_positions_and_then_a_new_start_with_more_room(
    start_system: Callable[..., Hostile], small_disk: Callable[[float], SmallDisk]
) -> None:
    disk = small_disk(14)
    system = start_system(disk.folder, FORGET_AFTER="100000")
    with device(system, "many", window=100, note=LONG) as phones:
        phones.publish(POSITIONS)
        until_full(system)
    has_all_after_a_new_start(start_system, system, disk, phones)


def test_a_disk_that_fills_while_nobody_looks_after_the_reserve(
    start_system: Callable[..., Hostile], small_disk: Callable[[float], SmallDisk]
) -> None:
    # As on a machine so busy that whoever keeps the reserve does not come to it.
    disk = small_disk(14)
    system = start_system(disk.folder, FORGET_AFTER="100000")
    with device(system, "many", window=100, note=LONG) as phones:
        system.system.process.send_signal(signal.SIGSTOP)
        try:
            phones.publish(POSITIONS)
            system.until_waiting("broker-1", "nearly full")
        finally:
            system.system.process.send_signal(signal.SIGCONT)
    has_all_after_a_new_start(start_system, system, disk, phones)


async def test_what_redis_answers_without_room_counts_once_it_is_written(
    small_disk: Callable[[float], SmallDisk],
) -> None:
    disk = small_disk(14)
    server = OwnRedis(disk.folder, ())
    server.start()
    try:
        (reserve := disk.folder / "reserve").write_bytes(b"\0" * MIB)
        foreign = disk.fill()
        async with open_redis(CommonSettings(redis_url=server.url)) as client:
            writes = Writes(client, reserve=reserve)
            script = client.register_script("return redis.call('SET', KEYS[2], ARGV[1])")
            waiting = asyncio.create_task(writes.run(script, keys=["never:{0}", "n:{0}"], args=[b"x" * 100_000]))
            await eventually(holds(lambda: writes.problem))
            assert str(writes.problem) == "the disk of Redis is full: it has yet to write what it has answered"
            # It would be lost with this Redis.
            assert await client.get("n:{0}") == b"x" * 100_000
            assert not waiting.done()
            foreign.unlink()
            await waiting
        assert writes.problem is None
        server.kill()
        server.start()
        with server.client() as blocking:
            assert blocking.get("n:{0}") == b"x" * 100_000
    finally:
        server.kill()


def test_a_disk_with_less_room_than_the_reserve_takes_is_nearly_full(tmp_path: Path) -> None:
    reserve = tmp_path / "reserve"
    assert is_nearly_full(reserve)
    reserve.touch()
    assert not is_nearly_full(reserve)
    with reserve.open("wb") as file:
        file.truncate(10**12 * 8)  # of nothing: it is larger than any disk has room here
    assert is_nearly_full(reserve)
    assert not is_nearly_full(None)


@pytest.mark.parametrize("restart", [False, True])
def test_a_disk_that_somebody_else_fills_in_a_moment(
    start_system: Callable[..., Hostile], small_disk: Callable[[float], SmallDisk], *, restart: bool
) -> None:
    disk = small_disk(300)
    system = start_system(disk.folder)
    with device(system, "many", window=100) as phones:
        phones.publish(POSITIONS)
        system.wait(lambda: phones.acknowledged > 1000, "some positions are acknowledged")
        foreign = disk.fill()
        until_full(system)
        if not restart:
            foreign.unlink()
            system.wait(lambda: phones.acknowledged == POSITIONS, "all positions are acknowledged", limit=200)
    acknowledged = phones.acknowledged
    if restart:
        assert system.system.stop() == 0, system.system.text[-6000:]
        foreign.unlink()
        system = start_system(disk.folder)
    system.until_ready()
    system.until_worked_off()
    assert acknowledged <= system.documents() <= phones.sent
    system.check_nobody_died()
