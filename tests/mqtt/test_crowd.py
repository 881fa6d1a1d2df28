"""A crowd over real nodes: by TCP, TLS and WebSocket, while connections break and a node dies."""

import asyncio
from pathlib import Path

import pytest

from core.clock import system_clock
from simulator.campus.links import Links, Transport
from simulator.campus.live import Live, Plan
from simulator.campus.pace import Pace
from simulator.login import Login
from simulator.outline import is_inside, outline_of
from tests.conftest import eventually, holds
from tests.mqtt.relay import relay
from tests.mqtt.test_device import Nodes, arrived, certificates, nodes
from tests.redis_servers.chosen import chosen
from tests.simulator.campuses import BUILDINGS, HOUR, LOTS, TUESDAY, campus, crowd

__all__ = ["certificates", "nodes"]

pytestmark = pytest.mark.skipif(chosen() != "single", reason="what Redis it is makes no difference to a crowd")

ON = campus(*BUILDINGS, *LOTS)
LIMIT = 60.0


@pytest.mark.parametrize(("tls", "ws"), [(False, False), (True, False), (False, True), (True, True)])
async def test_all_of_a_crowd_arrives_while_a_node_dies_and_connections_break(
    nodes: Nodes,
    certificates: Path,
    *,
    tls: bool,
    ws: bool,
) -> None:
    targets = nodes.websocket if ws else nodes.tcp
    rings = outline_of(ON.as_feature_collection())
    assert rings is not None
    now = system_clock()
    plan = Plan(
        pace=Pace(now, TUESDAY + 10 * HOUR, 600),
        shift_ms=0,
        until_ms=now + 8_000,
        warm_from_ms=None,
        connect_seconds=60,
    )
    with relay(targets[0], certificates / "server.pem" if tls else None) as between:
        transport = Transport(tls=tls, ws=ws, ca=certificates / "ca.pem" if tls else None)
        with Links(3, host="127.0.0.1", port=between.port, login=Login(), transport=transport) as links:
            live = Live(crowd(ON, devices=40), rings, links, plan, seed=7, clock=system_clock)
            running = asyncio.create_task(asyncio.to_thread(live.run, lambda: None))
            await eventually(holds(lambda: links.acknowledged > 50), limit=LIMIT)
            between.target = targets[1]
            nodes.processes[0].kill()
            between.cut()
            before = links.acknowledged
            await running
            acknowledged = links.acknowledged

    found = await arrived(nodes.redis)
    places = [place for own in found.values() for _, place in own]
    assert acknowledged > before
    assert between.connections > 3
    # What was under way when a connection broke may be there twice.
    assert len({(device, at) for device, own in found.items() for at, _ in own}) >= acknowledged * 0.9
    assert all(is_inside(rings, *place) for place in places)
    assert (links.under_way, live.dropped) == (0, 0)
