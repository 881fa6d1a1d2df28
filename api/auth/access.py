"""Who may do what: the dependencies through which a route asks for a key.

@router.delete("/v1/zones/{zone}", dependencies=[requires("admin")], responses=problems(401, 403))
async def ingest(key: Annotated[Key, requires("positions:write")]) -> Response: ...
router = APIRouter(dependencies=[public_occupancy])
"""

from base64 import b64decode
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBase, HTTPBearer, SecurityBase
from fastapi.security.base import SecurityBase as Security
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope as AsgiScope

from api.auth.keys import OF_PEOPLE, Key, Keys, Scope
from api.http.addresses import address_of
from api.http.dependencies import opened
from api.http.problems import ProblemError

CHALLENGE = 'Bearer realm="campus occupancy"'
"""What WWW-Authenticate says (RFC 6750, section 3)."""


class _Documented(Security):
    """Names a way to send a key in the OpenAPI document; what was sent is read by `presented`."""

    def __init__(self, name: str, model: SecurityBase) -> None:
        self.scheme_name = name
        self.model = model

    async def __call__(self) -> None:
        pass


_BEARER = _Documented("bearer", HTTPBearer(description="An API key, as `python -m api keys add` prints it."))
# The field's own name is `in`, a word of Python.
_HEADER = _Documented(
    "header", APIKey(**{"in": APIKeyIn.header}, name="X-API-Key", description="The same key, in a header of its own.")
)

_BASIC = _Documented(
    "basic",
    HTTPBase(scheme="basic", description="The same key as the password of any user name, for apps without a header."),
)

_Bearer = Annotated[None, Depends(_BEARER)]
_Header = Annotated[None, Depends(_HEADER)]
_Basic = Annotated[None, Depends(_BASIC)]


def presented(headers: Headers) -> str | None:
    """The key that a request came with, right or wrong; None without one.

    It is in `Authorization: Bearer`, else in `X-API-Key`, else the password of `Authorization: Basic`: some apps have a
    field for that, and none for a header. Nobody is asked for Basic, so no browser keeps a key and sends it by itself.
    """
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if "x-api-key" in headers or scheme.lower() != "basic":
        return headers.get("x-api-key")
    return _password(rest)


def _password(credentials: str) -> str:
    """What is behind the first colon (RFC 7617, section 2); empty, which is no key, where there is none."""
    try:
        return b64decode(credentials.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may do what in this process."""

    keys: Keys
    public_occupancy: bool
    """Whether zones, occupancy, its history and events need no key."""
    with_purpose: bool = False
    """Whether positions are read with keys alone that say what for; true unless PRIVACY is open."""

    async def check(self, request: Request, scope: Scope) -> Key:
        """The key of a request that may do what needs this scope.

        Raises 401 without a key and with a wrong one, 403 for one without the scope, or without the purpose that the
        scope needs, UnavailableError where Redis is away.
        """
        text = presented(request.headers)
        if text is None:
            raise _unauthorized("This needs an API key: send it as Authorization: Bearer KEY.", CHALLENGE)
        key = await self.keys.verify(text)
        if key is None:
            raise _unauthorized(
                "The API key is not one, or not any more. python -m api keys makes and lists them.",
                f'{CHALLENGE}, error="invalid_token"',
            )
        if not key.allows(scope):
            raise ProblemError(
                status=403,
                type_="/docs#scope-needed",
                title="The key is for something else",
                detail=f"This needs a key with the scope {scope}; yours has {', '.join(key.scopes)}.",
                headers={"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'},
            )
        if self.with_purpose and scope in OF_PEOPLE and not key.purpose:
            raise ProblemError(
                status=403,
                type_="/docs#purpose-needed",
                title="The key has no purpose",
                detail="Positions are read with a key alone that says what for: python -m api keys add --purpose makes"
                " one.",
            )
        return key

    def client_of(self, scope: AsgiScope) -> str:
        """Who sends a request, for the rate limit: a key or, without one, an address."""
        # Only a key that was found right a moment ago: else whoever sends another wrong one each time has no limit.
        text = presented(Headers(scope=scope))
        key = self.keys.recent(text) if text else None
        if key is not None:
            return f"key {key.id}"
        return f"address {address}" if (address := address_of(scope)) else "nobody"


_Access = Annotated[Access, opened("access")]


def requires(scope: str) -> Any:  # noqa: ANN401 - as fastapi.Depends
    """The dependency on a key with this scope, such as `positions:read` or `admin`; gives the `Key`."""
    return Depends(_check(Scope(scope)))


def _check(scope: Scope) -> Callable[..., Coroutine[Any, Any, Key]]:
    async def check(access: _Access, request: Request, _bearer: _Bearer, _header: _Header, _basic: _Basic) -> Key:
        return await access.check(request, scope)

    return check


async def _check_public(access: _Access, request: Request) -> None:
    if not access.public_occupancy:
        await access.check(request, Scope.OCCUPANCY_READ)


public_occupancy: Any = Depends(_check_public)
"""The dependency of what is public unless API_PUBLIC_OCCUPANCY is false; any key will do then."""


def _unauthorized(detail: str, challenge: str) -> ProblemError:
    return ProblemError(
        status=401,
        type_="/docs#key-needed",
        title="An API key is needed",
        detail=detail,
        headers={"WWW-Authenticate": challenge},
    )
