"""Changes of rules: validated, one at a time, in Redis with who and why before they are answered."""

import re
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request

from api.apps.dependencies import AppsResources, route_of, without_rule
from api.auth import Key
from api.http.bodies import wrong_body
from api.http.preconditions import check_preconditions
from api.http.problems import ProblemError
from core.versions import BROKER, SYSTEM, Route, changed, first_route, move_problem, problems_of, shares_with
from state.apps import MAX_PLACES, Canary, NoSlotError, Seen

MAX_BODY = 512 * 1024
"""Bytes of a rule: a thousand users have their place in it."""
MAX_STEPS: Final = 20
DAY_SECONDS: Final = 86_400
MAX_REQUESTS: Final = 1_000_000
Why = Annotated[str, Meta(max_length=200, description="Why, for those who read the log.")]
Part = TypeVar("Part")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]{1,127}", re.ASCII)
_ROUTE_ONLY = "As GET gives it; it changes nothing."


class RuleForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule as somebody wants it. Of users, roles and headers, what is left out stays as it is."""

    shares: dict[str, int]
    users: dict[str, str] | UnsetType = UNSET
    roles: dict[str, str] | UnsetType = UNSET
    headers: dict[str, dict[str, str]] | UnsetType = UNSET
    move: Annotated[
        bool,
        Meta(
            description="Of `broker`: end connections to a version that nobody gets by this rule, a tenth each second; "
            "their clients connect again. Without it they stay until they go."
        ),
    ] = False
    why: Why = ""
    app: Annotated[str, Meta(description=_ROUTE_ONLY)] | UnsetType = UNSET
    number: Annotated[int, Meta(description=_ROUTE_ONLY)] | UnsetType = UNSET
    notes: Annotated[list[str], Meta(description=_ROUTE_ONLY)] | UnsetType = UNSET


class CanaryForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A canary as somebody wants it."""

    to: str
    steps: Annotated[list[int], Meta(min_length=1, max_length=MAX_STEPS)] = msgspec.field(
        default_factory=lambda: [5, 20, 50, 100]
    )
    hold_seconds: Annotated[int, Meta(ge=1, le=DAY_SECONDS)] = 60
    hold_requests: Annotated[int, Meta(ge=0, le=MAX_REQUESTS)] = 200
    slower_by: Annotated[int, Meta(ge=0, le=100)] = 5
    measure: Annotated[str, Meta(max_length=128)] = ""


def etag_of(route: Route | None) -> str | None:
    """The ETag of a rule, with its quotes; None for none."""
    return f'"{route.number}"' if route else None


async def put_rule(
    apps: AppsResources, request: Request, key: Key, app: str, form: RuleForm, *, force: bool
) -> tuple[Route, bool]:
    """Put a rule in the place of another, or make the first one; gives it, and whether it is the first.

    Raises problems: 409, 412, 422, 428; and UnavailableError.
    """
    before = await apps.store.route(app)
    check_preconditions(request, etag_of(before))
    base = before or msgspec.structs.replace(first_route(app, next(iter(form.shares), "")), number=0)
    after = changed(
        base,
        shares=form.shares,
        users=_given(form.users),
        roles=_given(form.roles),
        headers=_given(form.headers),
        move=form.move,
    )
    await _check(apps, after, before, force=force)
    await _replace(apps, after, before, by=key.id, why=form.why)
    return after, before is None


async def undo(apps: AppsResources, request: Request, key: Key, app: str, *, force: bool) -> Route:
    """Put back the rule before the newest change, under a new number; of an undo, too: then what it undid is back.

    If-Match may be left out. Raises problems: 404, 409, 412, 422; and UnavailableError.
    """
    route = await route_of(apps, app)
    if "if-match" in request.headers:
        check_preconditions(request, etag_of(route))
    newest = next(iter(await apps.store.changes(app, 1)), None)
    if newest is None or newest.before is None or newest.after is None or newest.after.number != route.number:
        raise ProblemError(
            status=409,
            detail=f"No rule of {app} before the present one is kept: PUT the rule that you want.",
        )
    # What has moved connections moves them back.
    after = msgspec.structs.replace(newest.before, number=route.number + 1, move=route.move)
    if move_problem(after):
        after = msgspec.structs.replace(after, move=False)
    await _check(apps, after, route, force=force)
    await _replace(apps, after, route, by=key.id, why=f"undone: as it was under number {newest.before.number}")
    return after


async def begin_canary(apps: AppsResources, key: Key, app: str, form: CanaryForm) -> Canary:
    """Give the first step its share, and leave the rest to the controller.

    Raises problems: 404, 409, 422; and UnavailableError.
    """
    route = await route_of(apps, app)
    running = await apps.store.canary(app)
    if running and is_running(running, route):
        raise ProblemError(
            status=409,
            detail=f"A canary of {app} to version {running.version} runs already, at {running.steps[running.step]} %: "
            "wait for its end, or DELETE it.",
        )
    if problems := _wrong_canary(form, route):
        raise wrong_body(*problems)
    after = changed(route, shares=shares_with(route.shares, form.to, form.steps[0]))
    await _check(apps, after, route, force=False)
    now = apps.clock()
    canary = Canary(
        app=app,
        version=form.to,
        steps=tuple(form.steps),
        hold_seconds=form.hold_seconds,
        hold_requests=form.hold_requests,
        slower_by=form.slower_by,
        measure=form.measure,
        by=key.id,
        started_at=now,
        number=after.number,
        before=route.shares,
        why="it waits for the controller's first look",
    )
    await _replace(apps, after, route, by=key.id, why=f"a canary to version {form.to} begins", canary=canary)
    return canary


async def end_canary(apps: AppsResources, key: Key, app: str) -> Canary:
    """Go back to the shares from before a canary. Raises problems: 404, 409; and UnavailableError."""
    route = await route_of(apps, app)
    canary = await apps.store.canary(app)
    if canary is None or not is_running(canary, route):
        raise ProblemError(status=409, detail=f"No canary of {app} runs. PUT and undo change its rule.")
    after = changed(route, shares=canary.before)
    why = "an administrator has ended it"
    ended = msgspec.structs.replace(canary, number=after.number, state="back", why=why)
    await _replace(apps, after, route, by=key.id, why=f"the canary to {canary.version}: {why}", canary=ended)
    return ended


async def forget(apps: AppsResources, request: Request, key: Key, app: str) -> None:
    """Forget the rule of an application that runs no more, and give its slot to another one.

    If-Match may be left out. Raises problems: 404, 409, 412; and UnavailableError.
    """
    route = await apps.store.route(app)
    # A rule that nobody can read has a slot, too.
    if route is None and app not in await apps.store.slots():
        raise without_rule(app)
    if "if-match" in request.headers:
        check_preconditions(request, etag_of(route))
    seen = await apps.store.seen()
    if app in SYSTEM:
        why = f"{app} is a service of this system, and keeps its rule: PUT another one."
    elif seen is None:
        why = "What runs is not known at present: is the controller running?"
    elif versions := seen.healthy(app):
        why = f"{app} runs, version {', '.join(sorted(versions))}: stop it first, and ask again some seconds later."
    else:
        number = route.number if route else 0
        why = "forgotten: it runs no more"
        if not await apps.store.forget(app, replaces=number, by=key.id, at=apps.clock(), why=why):
            raise _changed_meanwhile(app)
        return
    raise ProblemError(status=409, detail=why)


def is_running(canary: Canary, route: Route) -> bool:
    """Whether a canary goes on. One whose rule somebody has changed does not, though the controller has yet to say."""
    return canary.state == "running" and canary.number == route.number


def _given(part: Part | UnsetType) -> Part | None:
    return None if isinstance(part, UnsetType) else part


def _wrong_canary(form: CanaryForm, route: Route) -> list[str]:
    found = []
    if route.app == BROKER:
        found.append("a broker gives no answers that could be compared: change its shares, PUT /v1/apps/broker/route")
    steps = form.steps
    if steps != sorted(set(steps)) or not 1 <= steps[0] <= steps[-1] or steps[-1] != 100:  # noqa: PLR2004 - percent
        found.append(f"its steps are {', '.join(map(str, steps))}: take percents that rise, from 1 on, to 100")
    elif (has := route.shares.get(form.to, 0)) >= steps[0]:
        found.append(f"version {form.to[:40]} has {has} % already: begin with a step above that, or put it to 0 first")
    if form.measure and not _PATH.fullmatch(form.measure):
        found.append(f"{form.measure[:40]!r} is no path of a measure: take one such as /measure")
    return found


async def _check(apps: AppsResources, after: Route, before: Route | None, *, force: bool) -> None:
    """Raises 422 with each problem that a rule has."""
    seen = await apps.store.seen()
    # What had a share is known, also where nobody can say what runs: else nobody could go back then.
    healthy = {**dict.fromkeys(before.shares if before else (), False), **(seen.healthy(after.app) if seen else {})}
    problems = problems_of(after, healthy=healthy, roles=apps.roles, force=force)
    if seen and not force:
        problems += await _homeless(apps, after, seen)
    if problems and seen is None:
        problems.append("what runs is not known at present: is the controller running?")
    if problems:
        raise wrong_body(*problems)


async def _homeless(apps: AppsResources, after: Route, seen: Seen) -> list[str]:
    """The versions that people would get and HAProxy has no room for. While there is room, the next look gives it."""
    places = await apps.store.places()
    if after.app in SYSTEM or len([place for place in places.values() if place <= MAX_PLACES]) < MAX_PLACES:
        return []
    return [
        f"version {version} of {after.app} has no place in HAProxy, whose {MAX_PLACES} are taken: stop a version that "
        "nobody needs, or ask with force=true"
        for version in sorted(after.versions & seen.healthy(after.app).keys())
        if f"{after.app}/{version}" not in places
    ]


async def _replace(
    apps: AppsResources, after: Route, before: Route | None, *, by: str, why: str, canary: Canary | None = None
) -> None:
    try:
        replaced = await apps.store.put(
            after, replaces=before.number if before else 0, by=by, at=apps.clock(), why=why, canary=canary
        )
    except NoSlotError as error:
        raise ProblemError(status=409, detail=f"{error}.") from error
    if not replaced:
        raise _changed_meanwhile(after.app)


def _changed_meanwhile(app: str) -> ProblemError:
    return ProblemError(
        status=412,
        type_="/docs#changed-meanwhile",
        title="It has changed meanwhile",
        detail=f"Somebody else has just changed the rule of {app}: read it again, and decide whether your change still "
        "fits.",
    )
