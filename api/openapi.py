"""The OpenAPI document: what FastAPI writes, with our problem details in it."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from api.answers import ProblemJson
from api.problems import ProblemDetails

_REFERENCE = "#/components/schemas/{model}"
_WORDS = {
    404: ("There is no such zone.", "/docs#unknown-zone", "There is no such zone"),
    422: ("A parameter is wrong; `errors` names each one.", "/docs#bad-parameter", "A parameter is wrong"),
    503: ("A store is away; `Retry-After` says when to come back.", "/docs#unavailable", "A store is away"),
}
DESCRIPTION = """How many cars and phones are in each building and car park of a campus, now and over time.

Times are RFC 3339. Errors are RFC 9457 problem details. `last_updated` and `ttl` say how old an answer is and how long
it stays good, so that what is stale can be told from what is empty.
"""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can answer with these problems."""
    return {
        status: {
            "description": _WORDS[status][0],
            "content": {
                ProblemJson.media_type: {
                    "schema": {"$ref": _REFERENCE.format(model=ProblemDetails.__name__)},
                    "example": {"type": _WORDS[status][1], "title": _WORDS[status][2], "status": status},
                }
            },
        }
        for status in statuses
    }


def describe(app: FastAPI) -> None:
    """Have an application write its OpenAPI document this way; made at the first request, and kept."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            _drop_validation_errors(document)
            problem = TypeAdapter(ProblemDetails).json_schema(ref_template=_REFERENCE)
            document["components"]["schemas"].update(problem.pop("$defs"), ProblemDetails=problem)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # the way that FastAPI documents


def _drop_validation_errors(document: dict[str, Any]) -> None:
    """FastAPI gives each route with a parameter a 422 of its own; an id of a zone that cannot be one is a 404 here."""
    for operations in document["paths"].values():
        for operation in operations.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
