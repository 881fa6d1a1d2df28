"""The OpenAPI document: what FastAPI writes, with our problem details in it."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from api.http.answers import ProblemJson
from api.http.kind_words import example, many
from api.http.kinds import kind_schema
from api.http.problems import ProblemDetails
from core.kinds import Kinds

_REFERENCE = "#/components/schemas/{model}"
_WORDS = {
    400: ("The request is not one that can be read.", "about:blank", "Bad Request"),
    401: ("A key is needed, or the one that was sent is none.", "/docs#key-needed", "An API key is needed"),
    403: ("The key is for something else.", "/docs#scope-needed", "The key is for something else"),
    404: ("There is no such zone.", "/docs#unknown-zone", "There is no such zone"),
    408: ("The body did not come in time.", "about:blank", "Request Timeout"),
    409: ("It cannot be done to what is there now.", "about:blank", "Conflict"),
    410: ("All of that range is older than what is kept.", "/docs#no-longer-kept", "That time is no longer kept"),
    412: (
        "It has changed since it was read; `ETag` is the present one.",
        "/docs#changed-meanwhile",
        "It has changed meanwhile",
    ),
    413: ("The body is too large.", "/docs#too-large", "The body is too large"),
    415: ("The body is of another type than those that are read here.", "about:blank", "Unsupported Media Type"),
    422: ("A parameter is wrong; `errors` names each one.", "/docs#bad-parameter", "A parameter is wrong"),
    428: ("`If-Match` is needed, with the ETag of what was read.", "/docs#if-match-needed", "If-Match is needed"),
    429: ("Too many requests; `Retry-After` says when to come back.", "/docs#too-many", "Too many requests"),
    503: ("A store is away; `Retry-After` says when to come back.", "/docs#unavailable", "A store is away"),
}
_DESCRIPTION = """How many %s are in each building and car park of a campus, now and over time.

Times are RFC 3339. Errors are RFC 9457 problem details. `last_updated` and `ttl` say how old an answer is and how long
it stays good, so that what is stale can be told from what is empty.
"""


def description(kinds: Kinds) -> str:
    """What the document begins with."""
    return _DESCRIPTION % many(kinds)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can answer with these problems."""
    return {status: problem for number in statuses for status, problem in problem_of(number, *_WORDS[number]).items()}


def problem_of(status: int, description: str, type_: str, title: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can answer with one problem, in words of its own."""
    return {
        status: {
            "description": description,
            "content": {
                ProblemJson.media_type: {
                    "schema": {"$ref": _REFERENCE.format(model=ProblemDetails.__name__)},
                    "example": {"type": type_, "title": title, "status": status},
                }
            },
        }
    }


def preconditions(thing: str, etag: str, *, creates: bool = False) -> list[dict[str, Any]]:
    """The headers `api.http.preconditions` looks at, as parameters of a route that changes a `thing`.

    `etag` is an example, with its quotes; `creates`: the route may make one that is not there yet.
    """
    described = {"If-Match": (f"The ETag of the {thing} as you have read it; `*` for whichever it is.", etag)}
    if creates:
        described["If-None-Match"] = (f"`*` to make a {thing} that is not there yet.", "*")
    return [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string", "examples": [example_]}}
        for name, (text, example_) in described.items()
    ]


def not_modified_response() -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that has an ETag."""
    return {304: {"description": "What If-None-Match names is still right."}}


def describe(app: FastAPI, kinds: Kinds) -> None:
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
            _add_common_problems(document)
            _name_kinds(document["components"]["schemas"], kinds)
            problem = TypeAdapter(ProblemDetails).json_schema(ref_template=_REFERENCE)
            document["components"]["schemas"].update(problem.pop("$defs"), ProblemDetails=problem)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # the way that FastAPI documents


def _add_common_problems(document: dict[str, Any]) -> None:
    """What any request for a resource can be answered, whoever made its route."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if not path.startswith("/v1/"):
                continue
            statuses = [429, *([413, 408] if "requestBody" in operation else [])]
            for status in statuses:
                operation["responses"].setdefault(str(status), problems(status)[status])


def _name_kinds(schemas: dict[str, Any], kinds: Kinds) -> None:
    """Say which kinds there are, and give examples of those alone."""
    schemas["Kind"] = kind_schema(kinds)
    for schema in schemas.values():
        kind = schema.get("properties", {}).get("kind")
        if kind and kind["examples"][0] not in kinds.ids:
            kind["examples"] = [example(kinds)]


def _drop_validation_errors(document: dict[str, Any]) -> None:
    """FastAPI gives each route with a parameter a 422 of its own; an id of a zone that cannot be one is a 404 here."""
    for operations in document["paths"].values():
        for operation in operations.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
