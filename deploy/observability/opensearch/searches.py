"""Saved searches and a dashboard on the health of brokers, as a table.

`python -m deploy.observability.opensearch.searches` writes `dashboards.ndjson`, which the web interface of OpenSearch
imports, and that of Elasticsearch, too.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("dashboards.ndjson")
PATTERN_ID = "logs"


@dataclass(frozen=True, slots=True)
class Search:
    """A question to the logs."""

    id: str
    title: str
    query: str
    """In Lucene's words, which `_search` takes as `query_string` too."""
    columns: tuple[str, ...]


SEARCHES: tuple[Search, ...] = (
    Search("joined", "Nodes that joined the cluster", 'event:"joined the cluster"', ("node", "event")),
    Search(
        "gone",
        "Nodes that are gone",
        'event:"a node is gone: its sessions are free, its wills are published"',
        ("node", "other", "event"),
    ),
    Search(
        "taken-for-dead",
        "Nodes that were taken for dead",
        'event:"others took this node for dead, or Redis was emptied"',
        ("node", "was", "event"),
    ),
    Search(
        "refused-logins",
        "Refused logins",
        "event:refused AND reason:refused_connect",
        ("node", "user", "peer", "detail", "held_back"),
    ),
    Search("drained", "Drained nodes", "event:(draining OR drained)", ("node", "event", "connections_left")),
    Search(
        "defects",
        "Defects of ours",
        'event.words:defect OR event:"a stage has failed, and is started again"',
        ("service", "node", "event", "stage", "error"),
    ),
    Search(
        "api-errors",
        "Requests that ended in 5xx",
        "event:request AND status:[500 TO 599]",
        ("method", "path", "status", "server", "request"),
    ),
    Search(
        "not-shipped",
        "Lines with something taken out, or refused by the store",
        'masked:[1 TO *] OR event:"a line with many secrets was held back" OR event:"a line that the store refused"',
        ("service", "node", "event", "masked", "line"),
    ),
)
"""What is on the dashboard, in this order."""
_WIDTH, _HEIGHT = 24, 12
"""Of a panel; the page is 48 wide."""


def _index_pattern() -> dict[str, Any]:
    return {
        "id": PATTERN_ID,
        "type": "index-pattern",
        "attributes": {"title": "logs-*", "timeFieldName": "timestamp"},
        "references": [],
    }


def _saved(search: Search) -> dict[str, Any]:
    source = {
        "query": {"language": "lucene", "query": search.query},
        "filter": [],
        "indexRefName": "kibanaSavedObjectMeta.searchSourceJSON.index",
    }
    return {
        "id": search.id,
        "type": "search",
        "attributes": {
            "title": search.title,
            "description": "",
            "columns": list(search.columns),
            "sort": [["timestamp", "desc"]],
            "version": 1,
            "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source)},
        },
        "references": [{"id": PATTERN_ID, "name": source["indexRefName"], "type": "index-pattern"}],
    }


def _dashboard(searches: Sequence[Search]) -> dict[str, Any]:
    panels = [
        {
            "panelIndex": search.id,
            "panelRefName": f"panel_{number}",
            "gridData": {
                "i": search.id,
                "x": number % 2 * _WIDTH,
                "y": number // 2 * _HEIGHT,
                "w": _WIDTH,
                "h": _HEIGHT,
            },
            "embeddableConfig": {},
            "version": "2.19.0",
        }
        for number, search in enumerate(searches)
    ]
    return {
        "id": "broker-health",
        "type": "dashboard",
        "attributes": {
            "title": "Health of the brokers",
            "description": "",
            "panelsJSON": json.dumps(panels),
            "optionsJSON": json.dumps({"useMargins": True}),
            "timeRestore": True,
            "timeFrom": "now-24h",
            "timeTo": "now",
            "version": 1,
            "kibanaSavedObjectMeta": {
                "searchSourceJSON": json.dumps({"query": {"language": "lucene", "query": ""}, "filter": []})
            },
        },
        "references": [
            {"id": search.id, "name": f"panel_{number}", "type": "search"} for number, search in enumerate(searches)
        ],
    }


def saved_objects() -> str:
    """All of it, an object a line."""
    objects = [_index_pattern(), *map(_saved, SEARCHES), _dashboard(SEARCHES)]
    return "".join(f"{json.dumps(each, sort_keys=True)}\n" for each in objects)


if __name__ == "__main__":
    FILE.write_text(saved_objects())
    sys.stderr.write(f"wrote {FILE}\n")
