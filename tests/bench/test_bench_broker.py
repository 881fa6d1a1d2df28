import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.broker.connection import BrokenError
from bench.broker.packets import PAYLOAD_BYTES, Ring
from bench.broker.peers import all_peers
from bench.broker.peers.peer import built
from bench.broker.publisher import Publisher, batch_of
from bench.broker.scenarios import (
    ACKNOWLEDGED,
    ACROSS,
    BYTES_EACH,
    CONNECTS,
    DELIVERED,
    IDLE,
    LATENCY,
    ONE_NODE,
    P99,
    WEBSOCKET,
)
from tests.conftest import missing

ROOT = Path(__file__).parents[2]
WINDOW = 128
BATCH = batch_of(WINDOW)
RING = Ring("car-iotp", 2 * WINDOW)


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not shutil.which("redis-server"):
        missing("redis-server", "install Debian's redis-server")
    folder = tmp_path_factory.mktemp("bench")
    names = [each.name for each in (ONE_NODE, WEBSOCKET, ACROSS, IDLE, LATENCY)]
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench.broker",
            "--quick",
            f"--results={folder / 'found.json'}",
            *(f"--scenario={name}" for name in names),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return {name: json.loads((folder / f"found-{name}.json").read_text(encoding="utf-8")) for name in names}


def test_each_broker_says_its_version_and_how_it_is_set_up(quick_run: dict[str, Any]) -> None:
    assert quick_run[ONE_NODE.name]["versions"] == {"ours": "0.12.1"}
    assert "before it is acknowledged" in quick_run[ONE_NODE.name]["configuration"]["ours"]
    for peer in all_peers():
        assert peer.configuration.endswith("."), peer.name
        assert peer.missing or re.match(r"\d+\.\d+", peer.version), peer.name
    assert len({peer.name for peer in all_peers()}) == 12


def test_what_is_built_from_source_is_named_by_its_version_and_lies_outside_the_tree() -> None:
    found = {name: built(name) for name in ("mochi", "hivemq", "rumqttd")}

    assert all(re.fullmatch(rf"{name}-[0-9a-f]{{12}}", file.parent.name) for name, file in found.items())
    assert all(file.is_absolute() and ROOT not in file.parents for file in found.values())


@pytest.mark.parametrize(
    ("scenario", "figure"),
    [
        (ONE_NODE.name, ACKNOWLEDGED),
        (WEBSOCKET.name, ACKNOWLEDGED),
        (ACROSS.name, DELIVERED),
        (IDLE.name, BYTES_EACH),
        (IDLE.name, CONNECTS),
        (LATENCY.name, P99),
    ],
)
def test_a_quick_run_measures_our_node(quick_run: dict[str, Any], scenario: str, figure: str) -> None:
    assert quick_run[scenario]["reasons"] == {}
    (found,) = quick_run[scenario]["rounds"]
    assert found["entry"] == "ours"
    assert found["figures"][figure] > 0


def test_our_node_acknowledges_in_the_order_of_the_messages(quick_run: dict[str, Any]) -> None:
    (found,) = quick_run[ONE_NODE.name]["rounds"]
    assert found["figures"]["in order"] == 1


def test_all_packets_of_a_ring_have_one_size_and_a_payload_of_240_bytes() -> None:
    packets = [bytes(RING.cut(number, 1)) for number in range(RING.cycle)]
    assert {len(packet) for packet in packets} == {3 + 2 + len("car-iotp") + 2 + PAYLOAD_BYTES}
    assert len(set(packets)) == RING.cycle
    assert RING.cut(RING.cycle, 1) == packets[0]


@pytest.fixture
def publisher_and_broker() -> Iterator[tuple[Publisher, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Publisher(ours, RING, WINDOW), theirs


def test_a_publisher_leaves_no_more_than_its_window_unacknowledged(
    publisher_and_broker: tuple[Publisher, socket.socket],
) -> None:
    publisher, broker = publisher_and_broker
    assert [publisher.send(), publisher.send()] == [WINDOW, 0]
    broker.sendall(RING.acknowledgements(BATCH))
    publisher.receive()
    assert publisher.send() == BATCH


def test_acknowledgements_in_another_order_are_told_from_those_in_order(
    publisher_and_broker: tuple[Publisher, socket.socket],
) -> None:
    publisher, broker = publisher_and_broker
    publisher.send()
    due = RING.acknowledgements(WINDOW)
    broker.sendall(due[-4:] + due[:-4])
    publisher.receive()
    assert not publisher.in_order()


def test_a_message_acknowledged_twice_does_not_stand_for_another(
    publisher_and_broker: tuple[Publisher, socket.socket],
) -> None:
    publisher, broker = publisher_and_broker
    publisher.send()
    due = RING.acknowledgements(WINDOW)
    broker.sendall(due[:-4] + due[:4])
    publisher.receive()
    with pytest.raises(BrokenError, match="exactly once"):
        publisher.in_order()
