"""The disk that holds everything is full: nothing that was acknowledged is lost, and with room again it all goes on."""

from collections.abc import Callable

import pytest

from tests.hostile.conftest import SmallDisk
from tests.hostile.running import Hostile, device

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
WORDS = ("positions wait in their devices until", "the disk of Redis is nearly full", "MISCONF")
POSITIONS = 40_000


def until_full(system: Hostile) -> None:
    """Wait until it is said that nothing more is taken; it may be over soon, for Redis writes its file anew then."""
    system.wait(lambda: any(word in system.system.text for word in WORDS), "it is said that the disk is full")


def test_a_disk_that_fills_with_positions_and_then_gets_room(
    start_system: Callable[..., Hostile], small_disk: Callable[[float], SmallDisk]
) -> None:
    disk = small_disk(14)
    system = start_system(disk.folder, FORGET_AFTER="100000")
    with device(system, "many", window=1000) as phones:
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
    with device(system, "many", window=100) as phones:
        phones.publish(POSITIONS)
        until_full(system)
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
