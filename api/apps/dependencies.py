"""What the routes of applications work with."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from fastapi import Path, Query

from api.auth import Key, Scope, requires
from api.http.dependencies import opened
from api.http.openapi import problem_of
from api.http.problems import ProblemError
from core.clock import Clock
from core.versions import APP_PATTERN, Route
from state.apps import AppStore

_UNKNOWN = ("/docs#unknown-app", "There is no such application")
NO_APP = problem_of(404, "There is no such application, or it has no such part.", *_UNKNOWN)
"""The `responses` of a route that may not find what it is asked for."""
NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, kw_only=True)
class AppsResources:
    """The applications, as one API process reads and changes them."""

    store: AppStore
    roles: Collection[str]
    """Names of those that a rule may choose by."""
    clock: Clock


Resources = Annotated[AppsResources, opened("apps")]
"""The parameter through which a route of applications receives them."""
Reader = Annotated[Key, requires("occupancy:read")]
"""Any key."""
Admin = Annotated[Key, requires("admin")]
AppName = Annotated[
    str,
    Path(
        description="Name of an application, as /v1/apps lists it; `api` and `broker` are services of this system.",
        examples=["update-schuman"],
        pattern=f"^{APP_PATTERN}$",
    ),
]
Force = Annotated[
    bool, Query(description="Let people go to a version of which no instance is healthy, too.", examples=[True])
]


def is_admin(key: Key) -> bool:
    """Whether somebody may read who is named in a rule, and where instances are."""
    return key.allows(Scope.ADMIN)


async def route_of(apps: AppsResources, app: str) -> Route:
    """The rule of an application; 404 where there is none."""
    route = await apps.store.route(app)
    if route is None:
        raise without_rule(app)
    return route


def without_rule(app: str) -> ProblemError:
    """404 for an application of which there is no rule."""
    return unknown_app(f"{app} has no rule. /v1/apps lists what runs; PUT /v1/apps/{app}/route makes a rule.")


def unknown_app(detail: str) -> ProblemError:
    """404 for an application, or a part of one, that is not there."""
    type_, title = _UNKNOWN
    return ProblemError(status=404, type_=type_, title=title, detail=detail)
