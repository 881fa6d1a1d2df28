"""/v1/faults: faults between two parts of the system, on purpose, each with an end."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter
from msgspec import Meta
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Key, Scope, requires
from api.faults.dependencies import FaultsResources, Resources
from api.http.answers import Json
from api.http.bodies import json_body, json_of, wrong_body
from api.http.instants import Rfc3339
from api.http.openapi import preconditions, problem_of, problems
from api.http.preconditions import check_preconditions
from api.http.problems import ProblemError
from core.clock import format_rfc3339
from core.faults import BEHIND, FRONT, MAX_FAULTS, Fault, kinds_of, problems_of, version_of

MAX_BODY = 16_384
_NO_STORE = {"Cache-Control": "no-store"}
_MAX_TEXT = 80
_OFF = ("/docs#faults-off", "Faults are off here")
Admin = Annotated[Key, requires("admin")]
Reader = Annotated[Key, requires("occupancy:read")]
Text = Annotated[str, Meta(max_length=_MAX_TEXT)]
router = APIRouter(tags=["faults"])
_log = structlog.stdlib.get_logger("api")


class FaultForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault as somebody wants it."""

    between: Text
    kind: Text
    seconds: int
    share: float = 1.0
    milliseconds: int = 0
    status: int = 0
    kilobytes: int = 0


class FaultsForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All faults that are to be on."""

    faults: list[FaultForm]


@dataclass(frozen=True, slots=True)
class FaultOn:
    """A fault that is on."""

    between: Annotated[
        str, Field(description="The two parts that it is between, as PUT takes them.", examples=["decoder>redis"])
    ]
    kind: Annotated[str, Field(description="delay, abort, reset, cut, bandwidth or status.", examples=["delay"])]
    share: Annotated[float, Field(description="Of requests or connections that it hits, to 1.", examples=[0.1])]
    milliseconds: Annotated[int, Field(description="How long a delay is; else 0.", examples=[2000])]
    status: Annotated[int, Field(description="What abort and status answer; else 0.", examples=[0])]
    kilobytes: Annotated[int, Field(description="How many a second still pass (bandwidth); else 0.", examples=[0])]
    until: Annotated[Rfc3339, Field(description="When it ends, UTC.", examples=["2026-03-02T10:15:00Z"])]
    seconds_left: Annotated[int, Field(description="Until then, rounded up.", examples=[42])]
    by: Annotated[str, Field(description="Id of the API key that asked for it.", examples=["5f0c3a1be2d94c77"])]


@dataclass(frozen=True, slots=True)
class FaultsOn:
    """The faults that are on."""

    allowed: Annotated[bool, Field(description="Whether faults can be made here at all (FAULTS).", examples=[False])]
    may: Annotated[bool, Field(description="Whether this key may make and end them.", examples=[True])]
    max_seconds: Annotated[int, Field(description="How long a fault may last (FAULTS_MAX_SECONDS).", examples=[600])]
    kinds: Annotated[
        dict[str, list[str]],
        Field(
            description="Which kinds can be made between what; `front` is `front>api` and `front>APP/VERSION`.",
            examples=[{"front": ["delay", "abort"], "decoder>redis": ["delay", "reset", "cut", "bandwidth"]}],
        ),
    ]
    faults: Annotated[list[FaultOn], Field(description="In the order in which they were given.")]


@router.get(
    "/v1/faults",
    response_model=FaultsOn,
    response_description="Those that are on, and whether there can be any; the ETag is what a change may name.",
    responses=problems(401, 403, 503),
)
async def faults_on(faults: Resources, key: Reader) -> Response:
    """The faults that are on, with the seconds that they have left."""
    now = faults.clock()
    on, mark = await faults.store.marked(now)
    return _body(faults, on, now, key, mark)


@router.put(
    "/v1/faults",
    response_model=FaultsOn,
    response_description="Those that are on from now on.",
    responses={
        **problems(401, 412, 415, 422, 428, 503),
        **problem_of(403, "Faults are off here, or the key is for something else.", *_OFF),
    },
    openapi_extra={
        "parameters": preconditions("faults", f'"{"0" * 40}"'),
        **json_body(
            FaultsForm,
            f"All faults that are to be on, {MAX_FAULTS} at the most: what is on and not among them ends.",
            {
                "faults": [
                    {"between": "front>api", "kind": "delay", "share": 0.1, "milliseconds": 2000, "seconds": 60},
                    {"between": "decoder>redis", "kind": "cut", "seconds": 5},
                ]
            },
        ),
    },
)
async def put_faults(request: Request, faults: Resources, key: Admin) -> Response:
    """Make faults on purpose, for so many seconds each: nobody has to remember to end them.

    In front of an application's version (`front>APP/VERSION`) or of the API (`front>api`) HAProxy delays or aborts a
    share of requests. Between services and stores (`decoder>redis`) a proxy delays, resets, cuts or narrows
    connections, or answers a status. 403 unless whoever runs the system has set FAULTS=true. If-Match may be left out.
    """
    _check_allowed(faults)
    form = await json_of(request, FaultsForm, most=MAX_BODY)
    now = faults.clock()
    wanted = [_fault(each, now, key) for each in form.faults]
    wrong = [
        f"fault {number}: its seconds are {each.seconds}: take a whole number from 1 to {faults.max_seconds}"
        for number, each in enumerate(form.faults[:MAX_FAULTS], 1)
        if not 1 <= each.seconds <= faults.max_seconds
    ]
    if wrong := [*wrong, *problems_of(wanted), *await _unknown(faults, wanted)]:
        raise wrong_body(*wrong)
    mark = await _replaced(request, faults, wanted, now)
    _log.warning("faults are made on purpose", by=key.id, faults=[_words(fault) for fault in wanted])
    return _body(faults, wanted, now, key, mark)


@router.delete(
    "/v1/faults",
    status_code=204,
    response_class=Response,
    response_description="None is on.",
    responses=problems(401, 403, 503),
)
async def end_faults(faults: Resources, key: Admin) -> Response:
    """End all faults. This is always possible, also without FAULTS=true."""
    await faults.store.replace([], now=faults.clock())
    _log.warning("faults were ended", by=key.id)
    return Response(status_code=204, headers=_NO_STORE)


async def _replaced(request: Request, faults: FaultsResources, wanted: list[Fault], now: int) -> str:
    """The mark of the faults that are on now. Raises 412 where If-Match names others than those that were."""
    replaces = ""
    while True:
        if request.headers.get("if-match", "*").strip() != "*":
            _, replaces = await faults.store.marked(now)
            check_preconditions(request, _etag(replaces))
        mark = await faults.store.replace(wanted, now=now, replaces=replaces)
        if mark is not None:
            return mark
        # Somebody else was there between the look and the change.


def _etag(mark: str) -> str:
    return f'"{mark}"'


def _check_allowed(faults: FaultsResources) -> None:
    if not faults.allowed:
        type_, title = _OFF
        raise ProblemError(
            status=403,
            type_=type_,
            title=title,
            detail="This system makes no faults on purpose. Whoever runs it may set FAULTS=true, for the API and "
            "HAProxy, and start them again.",
        )


def _fault(form: FaultForm, now: int, key: Key) -> Fault:
    return Fault(
        between=form.between,
        kind=form.kind,
        share=form.share,
        milliseconds=form.milliseconds,
        status=form.status,
        kilobytes=form.kilobytes,
        until=now + form.seconds * 1000,
        by=key.id,
    )


async def _unknown(faults: FaultsResources, wanted: list[Fault]) -> list[str]:
    """Faults in front of versions that nobody has seen: they would hit nobody, and nobody would know."""
    places = await faults.apps.places()
    seen = await faults.apps.seen()
    known = {*places, *(f"{each.app}/{each.version}" for each in (seen.instances if seen else ()))}
    named = {"/".join(found) for fault in wanted if (found := version_of(fault))}
    return [f"nobody has seen {name[:80]}: /v1/apps lists what runs" for name in sorted(named - known)]


def _words(fault: Fault) -> dict[str, Any]:
    return {"between": fault.between, "kind": fault.kind, "share": fault.share, "until": format_rfc3339(fault.until)}


def _body(faults: FaultsResources, on: list[Fault], now: int, key: Key, mark: str) -> Json:
    bodies = [
        {
            "between": fault.between,
            "kind": fault.kind,
            "share": fault.share,
            "milliseconds": fault.milliseconds,
            "status": fault.status,
            "kilobytes": fault.kilobytes,
            "until": format_rfc3339(fault.until),
            "seconds_left": -(-(fault.until - now) // 1000),
            "by": fault.by,
        }
        for fault in on
    ]
    return Json(
        {
            "allowed": faults.allowed,
            "may": key.allows(Scope.ADMIN),
            "max_seconds": faults.max_seconds,
            "kinds": {between: kinds_of(between) for between in (FRONT, *BEHIND)},
            "faults": bodies,
        },
        headers={"ETag": _etag(mark), **_NO_STORE},
    )
