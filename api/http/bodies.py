"""What a request's body says: of a type that is read here, not too large, and JSON of one form."""

from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from api.http.problems import ProblemError, WrongParameter, wrong_parameters
from core.unreadable import UNREADABLE

JSON = "application/json"
Form = TypeVar("Form")


async def body_of(request: Request, *media_types: str, most: int, too_large: str) -> bytes:
    """The body, at most so many bytes; `too_large` says what to do about one that has more. Raises 413 and 415."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in media_types:
        raise ProblemError(
            status=415,
            detail=f"Send {' or '.join(media_types)}, and say so in Content-Type.",
            headers={"Accept-Patch" if request.method == "PATCH" else "Accept": ", ".join(media_types)},
        )
    body = await request.body()
    if len(body) > most:
        raise ProblemError(status=413, type_="/docs#too-large", title="The body is too large", detail=too_large)
    return body


async def json_of(request: Request, form: type[Form], *, most: int) -> Form:
    """The body as JSON of this form, of at most so many bytes. Raises 413, 415 and 422 problems."""
    body = await body_of(
        request, JSON, most=most, too_large=f"It may have {most:,} bytes at the most: say it with fewer."
    )
    try:
        return msgspec.json.decode(body, type=form)
    except UNREADABLE as error:
        raise wrong_body(f"it is not as it should be: {error}") from error


def wrong_body(*problems: str) -> ProblemError:
    """422 that names each thing that is wrong with a body."""
    return wrong_parameters([WrongParameter("body", problem) for problem in problems])


def json_body(form: type[msgspec.Struct], description: str, example: dict[str, Any]) -> dict[str, Any]:
    """What the OpenAPI document says of a body of this form, for `openapi_extra`; forms within it are written out."""
    schema = msgspec.json.schema(form)
    known = schema.pop("$defs")
    return {
        "requestBody": {
            "required": True,
            "description": description,
            "content": {JSON: {"schema": _written_out(schema, known), "example": example}},
        }
    }


def _written_out(schema: Any, known: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(schema, list):
        return [_written_out(each, known) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _written_out(known[schema["$ref"].rpartition("/")[2]], known)
    return {name: _written_out(each, known) for name, each in schema.items()}
