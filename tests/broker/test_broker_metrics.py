import re
from pathlib import Path

from redis.asyncio import Redis

from broker.drain import Drain
from core.kinds import Role
from tests.broker.conftest import PASSWORD, RunningNode, TwoNodes, has, put_user
from tests.conftest import eventually

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"


def test_the_operators_page_lists_each_metric_of_a_node_and_no_other(node: RunningNode) -> None:
    Drain(node=node.node, notice=0, seconds=0).describe()
    families = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in node.node.metrics.registry.collect()
        # What all services say of Redis is explained elsewhere on the page.
        if family.name.startswith("broker_")
    }
    listed = set(re.findall(r"`(broker_\w+)", PAGE.read_text(encoding="utf-8")))
    assert listed == families


def reasons(node: RunningNode, name: str) -> set[str]:
    return {
        sample.labels["reason"]
        for family in node.metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


async def test_each_reason_and_role_is_there_before_the_first_of_it(node: RunningNode) -> None:
    assert reasons(node, "broker_dropped_total") == {"qos0_buffer", "cleared", "will"}
    assert {"refused_connect", "slow_consumer", "too_large", "expelled"} <= reasons(node, "broker_refused_total")
    value = node.metrics.registry.get_sample_value
    for role in ("anonymous", "car", "mobile", "gateway", "service", "app"):
        assert value("broker_logins_total", {"role": role}) == 0


async def test_who_was_let_in_is_counted_by_role_and_what_is_subscribed_to_by_filter(
    node: RunningNode, redis_client: Redis
) -> None:
    await put_user(redis_client, "mirror", Role.SERVICE)
    await node.service.connect()
    service = await node.service.connect(user="mirror", password=PASSWORD)
    assert node.counted("broker_logins_total", role="anonymous") == 1
    assert node.counted("broker_logins_total", role="service") == 1
    await service.subscribe(("a/#", 1), ("b", 0))
    await service.subscribe(("b", 1))
    assert node.counted("broker_subscriptions") == 2
    await service.unsubscribe("b")
    assert node.counted("broker_subscriptions") == 1
    await service.disconnect()
    await eventually(lambda: has(lambda: node.counted("broker_subscriptions") == 0))


async def test_each_node_says_how_many_there_are(nodes: TwoNodes) -> None:
    await eventually(lambda: has(lambda: nodes.first.counted("broker_nodes_seen") == 2))
    await eventually(lambda: has(lambda: nodes.second.counted("broker_nodes_seen") == 2))
    await nodes.second.stop()
    await eventually(lambda: has(lambda: nodes.first.counted("broker_nodes_seen") == 1))
