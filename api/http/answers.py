"""How an answer is written: JSON by msgspec, and 304 where the client has it already."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

_ETAG_CHARACTERS = 16
_NOT_SNIFFED = {"X-Content-Type-Options": "nosniff"}


class Json(JSONResponse):
    """Anything that msgspec can encode: dataclasses, dicts, lists, enums."""

    media_type = "application/json"

    def __init__(self, content: Any, *, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:  # noqa: ANN401 - what the encoder takes
        super().__init__(content, status_code, {**_NOT_SNIFFED, **(headers or {})})

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - as in the base class
        """The content as JSON in UTF-8."""
        return msgspec.json.encode(content)


class GeoJson(Json):
    """RFC 7946."""

    media_type = "application/geo+json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - as in the base class
        """The content as JSON in UTF-8, by the encoder that a campus file is checked with: integers have no limit.

        Bytes are JSON already.
        """
        if isinstance(content, bytes):
            return content
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


class ProblemJson(Json):
    """RFC 9457."""

    media_type = "application/problem+json"


def etag_of(body: bytes) -> str:
    """A strong ETag, with its quotes: another one for another body."""
    return f'"{hashlib.sha256(body).hexdigest()[:_ETAG_CHARACTERS]}"'


def client_has(request: Request, etag: str) -> bool:
    """Whether the client's If-None-Match names this ETag, which is given with its quotes."""
    return names_etag(",".join(request.headers.getlist("if-none-match")), etag)


def names_etag(if_none_match: str, etag: str) -> bool:
    """Whether an If-None-Match names this ETag, which is given with its quotes; an empty one names none.

    The comparison is the weak one, as RFC 9110 section 13.1.2 asks for GET.
    """
    candidates = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in candidates or "*" in candidates


def not_modified(etag: str, cache_control: str) -> Response:
    """304, with the headers that a 200 would have had."""
    return Response(status_code=304, headers={"ETag": etag, "Cache-Control": cache_control})
