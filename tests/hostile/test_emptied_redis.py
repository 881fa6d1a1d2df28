"""Somebody empties Redis, or has it forget its scripts: what comes afterwards counts, and nothing ends."""

import pytest

from tests.hostile.running import Hostile, device

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_scripts_that_are_forgotten_are_sent_again(system: Hostile) -> None:
    before = system.documents()
    with device(system, "scripts") as phones:
        for count in (10, 20, 30):
            phones.publish(10)
            system.wait(lambda count=count: phones.acknowledged == count, f"{count} positions are acknowledged")
            with system.redis() as client:
                client.script_flush()
    system.until_ready()
    system.until_worked_off()
    assert system.documents() == before + 30
    system.check_nobody_died()


def test_a_redis_that_was_emptied_is_used_again(system: Hostile) -> None:
    with device(system, "first") as phones:
        phones.publish(10)
        system.wait(lambda: phones.acknowledged == 10, "10 positions are acknowledged")
    system.until_worked_off()
    before = system.documents()
    with system.redis() as client:
        client.flushall()
        client.script_flush()
    with device(system, "second") as phones:
        phones.publish(10)
        system.wait(lambda: phones.acknowledged == 10, "10 more positions are acknowledged")
    system.until_ready()
    system.until_worked_off()
    assert system.documents() == before + 10
    system.wait(lambda: system.get("/v1/zones/campus/occupancy").json()["mobile"] == 10, "10 phones are present")
    system.check_nobody_died()


def test_a_group_that_is_gone_is_made_again(system: Hostile) -> None:
    before = system.documents()
    with device(system, "group") as phones, system.redis() as client:
        for count, (stream, group) in enumerate((("raw:{0}", "observe"), ("positions:{0}", "archive")), 1):
            client.xgroup_destroy(stream, group)
            phones.publish(10)
            system.wait(lambda count=count: phones.acknowledged == 10 * count, "positions are acknowledged")
            system.until_worked_off()
    system.until_ready()
    assert system.documents() == before + 20
    system.check_nobody_died()
