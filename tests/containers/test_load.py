"""Two thousand messages a second, within the memory that the budget gives."""

import time

import pytest

from tests.containers.conftest import Figures
from tests.containers.engine import docker
from tests.containers.numbered import Numbered
from tests.containers.people import People
from tests.containers.results import status, wait_until_done
from tests.containers.senders import LEAKS, send_all
from tests.containers.stack import Stack

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2400), *LEAKS]
RATE = 2000.0
SECONDS = 20
TOO_LONG = 10 * SECONDS
"""Then it was another load: this machine is busy with something else."""
TRAFFIC = Numbered(prefix="load", day="2019-04-02", devices=500, on_campus=2)


def test_nothing_is_killed_or_starts_again_at_2000_messages_a_second(
    stack: Stack, people: People, figures: Figures
) -> None:
    before = {container.id: (container.restarts, container.started) for container in stack.containers()}
    counted = status(stack)["totals"]
    messages = TRAFFIC.messages(int(RATE * SECONDS))
    doors = people.doors(stack)

    began = time.monotonic()
    sent = send_all([doors["mqtt"], doors["mqtts"]] * 2, people.gateway, "load", messages, rate=RATE)
    seconds = time.monotonic() - began
    wait_until_done(stack, limit=300)
    done = time.monotonic() - began

    used = docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *before)
    figures.say(
        f"{sent} messages acknowledged in {seconds:.1f} s ({sent / seconds:.0f}/s), all done after {done:.0f} s"
    )
    for line in sorted(used.splitlines()):
        figures.say(f"  {line.removeprefix(f'{stack.name}-')}")
    assert seconds < TOO_LONG
    after = stack.containers()
    assert not [container.service for container in after if container.out_of_memory]
    # The autoscaler may have started a decoder more.
    assert {
        container.id: (container.restarts, container.started) for container in after if container.id in before
    } == before
    assert stack.unwell() == []
    totals = {name: count - counted.get(name, 0) for name, count in status(stack)["totals"].items()}
    assert totals["messages"] == totals["positions"] + totals["outside"] == sent == len(messages)
