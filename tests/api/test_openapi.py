from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter

from api.history.body import History, HistoryOfSeveral
from api.history.summary import Summary
from api.http.problems import ProblemDetails
from api.occupancy.types import occupancy_types
from api.zones.routes import ZoneCollection, ZoneFeature
from core.kinds import DEFAULT_KINDS


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


async def test_the_document_lists_every_resource(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json")

    assert answer.status_code == 200
    assert set(answer.json()["paths"]) == {
        "/v1/zones",
        "/v1/zones/{zone}",
        "/v1/zones/{zone}/versions",
        "/v1/events",
        "/v1/occupancy",
        "/v1/zones/{zone}/occupancy",
        "/v1/zones/{zone}/occupancy/history",
        "/v1/zones/{zone}/occupancy/summary",
        "/v1/occupancy/history",
        "/v1/zones/{zone}/forecast",
        "/v1/zones/{zone}/visits",
        "/v1/zones/{zone}/anomaly",
        "/v1/flows",
        "/v1/positions",
        "/v1/positions/search",
        "/v1/devices/{device_id}/positions",
        "/v1/apps",
        "/v1/apps/{app}",
        "/v1/apps/{app}/route",
        "/v1/apps/{app}/route/undo",
        "/v1/apps/{app}/changes",
        "/v1/apps/{app}/canary",
        "/v1/faults",
        "/healthz",
    }


def test_every_operation_and_answer_is_described(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["description"], name
        assert operation["tags"], name
        for status, response in operation["responses"].items():
            assert response["description"] not in {"", "Successful Response", "Validation Error"}, (name, status)


def test_every_parameter_has_a_description_and_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (name, parameter["name"])
            assert parameter["schema"]["examples"], (name, parameter["name"])


def test_every_member_of_every_body_has_a_description_and_an_example_or_a_body_of_its_own(
    document: dict[str, Any],
) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert schema["description"], name
        for member, described in schema.get("properties", {}).items():
            assert described["description"], (name, member)
            assert described.get("examples") or list(references(described)), (name, member)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    found = set(references(document))

    assert found
    assert {reference.removeprefix("#/components/schemas/") for reference in found} <= schemas.keys()
    assert "HTTPValidationError" not in schemas


def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if status.startswith(("4", "5")):
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ProblemDetails"}, (name, status)


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]

    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/zones", ZoneCollection),
        ("/v1/zones/kemmy", ZoneFeature),
        ("/v1/occupancy", occupancy_types(DEFAULT_KINDS).everything),
        ("/v1/zones/kemmy/occupancy/history?kind=car", History),
        ("/v1/occupancy/history?kind=car&zone=kemmy", HistoryOfSeveral),
        ("/v1/zones/kemmy/occupancy/summary?kind=car", Summary),
        ("/v1/zones/atlantis", ProblemDetails),
        ("/v1/zones/kemmy/occupancy/history?kind=bus", ProblemDetails),
    ],
)
async def test_answers_are_what_the_document_says(client: httpx.AsyncClient, path: str, model: type) -> None:
    answer = await client.get(path)

    TypeAdapter(model).validate_json(answer.content)
