import re
from pathlib import Path

from broker.drain import Drain
from tests.broker.conftest import RunningNode

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
