"""Each number that anybody is told is in a table that says why it tells nothing of one device (`surfaces`)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from analytics.service import AnalyticsMetrics
from api.history.csv_export import COLUMNS as CSV_COLUMNS
from api.http.metrics import ApiMetrics
from api.live.mirrored import FLOWS, RESULTS
from broker.metrics import BrokerMetrics
from core.kinds import DEFAULT_KINDS
from decoder.export_settings import Target
from decoder.metrics import DecoderMetrics
from decoder.settings import Stage
from disclosure.policy import Privacy
from tests.privacy.attacks.place import the_campus
from tests.privacy.attacks.suite import attacked
from tests.privacy.attacks.system import System
from tests.privacy.surfaces import COLUMNS, EVENTS, HEADERS, LABELS, MEMBERS, METRICS, ROUTES, TOPICS, How

Schema = dict[str, Any]


@pytest.fixture
async def system(redis_server: str) -> Any:  # noqa: ANN401 - an iterator of it
    async with attacked(redis_server, Privacy.OPEN) as running:
        yield running


@pytest.fixture
async def document(system: System) -> Schema:
    return dict((await system.client.get("/openapi.json")).json())


def operations(document: Schema) -> Iterator[tuple[str, Schema]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                yield f"{method.upper()} {path}", operation


def test_each_route_is_in_the_table(document: Schema) -> None:
    assert {name for name, _ in operations(document)} == {*ROUTES}


def test_what_is_for_those_with_a_key_alone_is_what_the_document_says(document: Schema) -> None:
    with_a_key = {name for name, operation in operations(document) if operation.get("security")}

    assert with_a_key == {name for name, how in ROUTES.items() if how is How.WITH_A_KEY}


def test_each_number_of_what_is_told_without_a_key_is_in_the_table(document: Schema) -> None:
    schemas = document["components"]["schemas"]
    left = [
        name
        for _, operation in operations(document)
        if not operation.get("security")
        for code, answer in operation["responses"].items()
        if code.startswith("2")
        for name in named(answer)
    ]
    found: dict[str, set[str]] = {}
    while left:
        name = left.pop()
        if name not in found:
            members = schemas[name].get("properties", {})
            found[name] = {member for member, schema in members.items() if tells_a_number(schema)}
            left += named(schemas[name])

    assert {name: members for name, members in found.items() if members} == {
        name: {*members} for name, members in MEMBERS.items()
    }


def named(schema: object) -> list[str]:
    """The schemas that one refers to, wherever in it."""
    if isinstance(schema, list):
        return [name for each in schema for name in named(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].rpartition("/")[2]] if "$ref" in schema else []
    return own + [name for each in schema.values() for name in named(each)]


def tells_a_number(schema: Schema) -> bool:
    """Numbers, times and truth values, also where they may be null, or are in a list."""
    inner = [
        *schema.get("anyOf", ()),
        *schema.get("prefixItems", ()),
        *([schema["items"]] if "items" in schema else []),
    ]
    own = schema.get("type") in {"integer", "number", "boolean"} or schema.get("format") == "date-time"
    return own or any(map(tells_a_number, inner))


def test_each_event_is_in_the_table(document: Schema) -> None:
    stream = document["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]

    assert {*stream["itemSchema"]["properties"]["event"]["enum"]} == {*EVENTS}


def test_each_column_and_each_header_is_in_the_table() -> None:
    exposed = re.search(r"expose_headers=\[([^\]]*)\]", Path("api/application.py").read_text())
    assert exposed is not None

    assert [*CSV_COLUMNS] == [*COLUMNS]
    assert {*re.findall(r'"([^"]+)"', exposed[1])} == {*HEADERS}


async def test_each_topic_of_the_mirror_is_in_the_table(system: System) -> None:
    await system.end_slot()
    zones = "|".join(zone.id for zone in the_campus().everything)
    topics = {re.sub(rf"(?<=v1/zones/)({zones})(?=/|$)", "{zone}", topic) for topic in system.mirror()}

    assert topics | {f"v1/zones/{{zone}}/{result}" for result in RESULTS} | {FLOWS, "$SYS"} == {*TOPICS}


REGISTRIES = {
    "api": lambda: ApiMetrics().registry,
    "broker": lambda: BrokerMetrics(DEFAULT_KINDS).registry,
    "decoder": lambda: (
        DecoderMetrics(
            stages=[stage.value for stage in Stage],
            stores=[("documents", "put"), ("timeseries", "write")],
            targets=[target.value for target in Target],
        ).registry
    ),
    "analytics": lambda: AnalyticsMetrics().registry,
}


@pytest.mark.parametrize("service", METRICS)
def test_each_metric_is_in_the_table_and_by_no_zone_and_no_device(service: str) -> None:
    registry: CollectorRegistry = REGISTRIES[service]()
    families = [*registry.collect()]

    assert {family.name for family in families} == METRICS[service]
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    declared = {label for metric in [*registry._collector_to_names] for label in getattr(metric, "_labelnames", ())}
    assert labels | declared <= LABELS


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/livez"])
async def test_what_is_for_operators_is_not_where_the_map_is(system: System, path: str) -> None:
    assert (await system.client.get(path)).status_code == httpx.codes.NOT_FOUND
