"""Errors as RFC 9457 problem details: each error carries its HTTP status, and one handler answers them all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.answers import ProblemJson
from core.errors import BadSettingsError, Reason, UnavailableError
from documents import IndexBeingBuiltError

NO_TYPE = "about:blank"
"""The type of a problem of which the status says all (RFC 9457, section 4.2.1)."""
RETRY_AFTER_SECONDS = 1.0
"""What a client is told to wait where the dependency itself named no time."""
_PLAINER = {"extra_forbidden": "there is no such parameter here", "missing": "it is required"}
"""For kinds of pydantic's errors, words that fit a parameter better than its own."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""All that any path here has."""
_SHOWN = 100
"""Characters of the client's own input that an answer repeats."""

_log = structlog.stdlib.get_logger("api")


@dataclass(frozen=True, slots=True)
class WrongParameter:
    """One parameter that cannot be used."""

    parameter: Annotated[str, Field(description="Name of the parameter.", examples=["window"])]
    detail: Annotated[
        str, Field(description="What is wrong with it.", examples=["Input should be '1m', '5m', '1h' or '1d'"])
    ]


@dataclass(frozen=True, slots=True)
class WrongPosition:
    """One position of a body that cannot be used, or all of a body."""

    parameter: Annotated[str, Field(description="Always `body`.", examples=["body"])]
    detail: Annotated[
        str, Field(description="What is wrong with it.", examples=["the geometry of a position is a Point"])
    ]
    reason: Annotated[
        Reason, Field(description="The reason, as dead letters and counters have it.", examples=["not_a_point"])
    ]
    index: Annotated[
        int | None, Field(description="Which of several positions, from 0; null for the whole body.", examples=[2])
    ]


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """RFC 9457 problem details, `application/problem+json`."""

    type: Annotated[
        str,
        Field(
            description="What kind of problem: where it is described, or about:blank where the status says all.",
            examples=["/docs#bad-parameter"],
        ),
    ]
    title: Annotated[str, Field(description="The kind in words; always the same.", examples=["A parameter is wrong"])]
    status: Annotated[int, Field(description="The HTTP status.", examples=[422])]
    detail: Annotated[
        str,
        Field(
            description="What is wrong this time, and what to do.",
            examples=["window: Input should be '1m', '5m', '1h' or '1d'"],
        ),
    ]
    instance: Annotated[
        str, Field(description="The path that was asked for.", examples=["/v1/zones/kemmy/occupancy/history"])
    ]
    errors: Annotated[
        list[WrongParameter | WrongPosition] | None,
        Field(description="Each parameter that is wrong, or each position; only where one is."),
    ] = None


class ProblemError(Exception):
    """An answer that is an error; raise it anywhere below a route."""

    def __init__(
        self,
        *,
        status: int,
        detail: str,
        title: str | None = None,
        type_: str = NO_TYPE,
        errors: Sequence[WrongParameter | WrongPosition] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.title = title or HTTPStatus(status).phrase
        self.type = type_
        self.errors = list(errors)
        self.headers = {**(headers or {}), "Cache-Control": "no-store"}

    def answer(self, path: str) -> ProblemJson:
        """The response; `path` is what the client asked for, decoded."""
        body: dict[str, Any] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": quote(path[:_SHOWN]),
        }
        if self.errors:
            body["errors"] = self.errors
        return ProblemJson(body, status_code=self.status, headers=self.headers)


def shown(text: str) -> str:
    """A client's own input, quoted and cut off, to be named in an answer."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def unknown_zone(zone: str) -> ProblemError:
    """404 for a zone that the campus does not have."""
    return ProblemError(
        status=404,
        type_="/docs#unknown-zone",
        title="There is no such zone",
        detail=f"The campus has no zone {shown(zone)}. GET /v1/zones lists the zones with their ids.",
    )


def withheld(detail: str) -> ProblemError:
    """403 for what is told to nobody, whatever key they have."""
    return ProblemError(status=403, type_="/docs#withheld", title="This is withheld", detail=detail)


def no_longer_kept(detail: str) -> ProblemError:
    """410 for a range of time of which nothing is kept any more."""
    return ProblemError(status=410, type_="/docs#no-longer-kept", title="That time is no longer kept", detail=detail)


def wrong_parameters(errors: Sequence[WrongParameter]) -> ProblemError:
    """422 that names each parameter that cannot be used."""
    return ProblemError(
        status=422,
        type_="/docs#bad-parameter",
        title="A parameter is wrong",
        detail="; ".join(f"{error.parameter}: {error.detail}" for error in errors),
        errors=errors,
    )


def unavailable(error: UnavailableError) -> ProblemError:
    """503 that says when to come back. What exactly is away is for the log and /readyz: it may name addresses."""
    seconds = max(1, math.ceil(error.retry_after or RETRY_AFTER_SECONDS))
    if isinstance(error, IndexBeingBuiltError):
        return ProblemError(
            status=503,
            type_="/docs#unavailable",
            title="An index is being built",
            detail=f"The {error}. Try again in {seconds} s.",
            headers={"Retry-After": str(seconds)},
        )
    return ProblemError(
        status=503,
        type_="/docs#unavailable",
        title="A store is away",
        detail=f"A store that this answer comes from does not answer now. Try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )


def _defect() -> ProblemError:
    return ProblemError(status=500, detail="The server made a mistake. It is in its log; there is nothing you can do.")


def _of_validation(error: RequestValidationError) -> ProblemError:
    return wrong_parameters(
        [
            WrongParameter(
                # The location is ("query", name), or ("path", name).
                parameter=".".join(str(part) for part in problem["loc"][1:])[:_SHOWN],
                detail=_PLAINER.get(problem["type"]) or str(problem["msg"]).removeprefix("Value error, "),
            )
            for problem in error.errors()
        ]
    )


def _of_http(error: HTTPException, request: Request) -> ProblemError:
    detail, headers = error.detail, dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"There is nothing at {shown(request.scope['path'])}. GET /docs lists what there is."
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _allowed(request)
        detail = f"{shown(request.method)} is not possible here; what is: {headers['Allow']}."
    return ProblemError(status=error.status_code, detail=detail, headers=headers)


def _allowed(request: Request) -> str:
    """All methods of a path (RFC 9110, section 15.5.6): several routes can share it, each with methods of its own."""
    routes: Sequence[BaseRoute] = request.app.routes
    return ", ".join(
        method
        for method in METHODS
        # api.http.head_middleware: what can be GET can be HEAD.
        if any(
            route.matches({**request.scope, "method": "GET" if method == "HEAD" else method})[0] is Match.FULL
            for route in routes
        )
    )


async def _answer(request: Request, error: Exception) -> ProblemJson:
    match error:
        case ProblemError():
            problem = error
        case UnavailableError():
            _log.warning("a store is away", route=route_of(request.scope), error=str(error))
            problem = unavailable(error)
        case BadSettingsError():
            # A store's login that does not work: no request can mend that, and the next may find it mended.
            _log.error("a setting does not work", route=route_of(request.scope), error=str(error))
            problem = unavailable(UnavailableError(str(error)))
        case RequestValidationError():
            problem = _of_validation(error)
        case HTTPException():
            problem = _of_http(error, request)
        case _:
            raise error
    return problem.answer(request.scope["path"])


def route_of(scope: Scope) -> str:
    """The template of the route that was found, for the log: a path can hold the id of a device."""
    return str(getattr(scope.get("route"), "path", "none"))


class Defects:
    """Outermost but for the metrics: whatever else goes wrong below is logged, and becomes a 500 without internals.

    A middleware, because Starlette's own last handler raises the error once more for the server to log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            # Nobody is there to be answered, and nothing here is wrong.
            _log.info("a client left before it had sent all", method=scope["method"], route=route_of(scope))
        except Exception:
            if scope["type"] != "http" or started:
                raise
            _log.exception("a request failed", method=scope["method"], route=route_of(scope))
            await _defect().answer(scope["path"])(scope, receive, send)


def answer_problems(app: FastAPI) -> None:
    """Answer every error that an application raises with problem details."""
    for family in (ProblemError, UnavailableError, BadSettingsError, RequestValidationError, HTTPException):
        app.add_exception_handler(family, _answer)
