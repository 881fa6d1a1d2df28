"""/v1/apps/{app}/route: who gets which version, who changed it, and what was before."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api.apps.body import change_body, rule_body
from api.apps.dependencies import NO_APP, NO_STORE, Admin, AppName, Force, Reader, Resources, is_admin, route_of
from api.apps.edits import MAX_BODY, RuleForm, etag_of, forget, put_rule, undo
from api.apps.types import Rule, RuleChanges
from api.http.answers import Json, client_has, not_modified
from api.http.bodies import json_body, json_of
from api.http.openapi import not_modified_response, preconditions, problems
from core.versions import Route
from state.apps import CHANGES_KEPT

_EXAMPLE: dict[str, Any] = {
    "shares": {"1": 80, "2": 20},
    "users": {"ann": "2"},
    "roles": {},
    "headers": {"X-Campus-Group": {"testers": "2"}},
    "why": "the new texts, for some",
}
router = APIRouter(tags=["apps"])


@router.get(
    "/v1/apps/{app}/route",
    response_model=Rule,
    response_description="The rule that holds.",
    responses={**not_modified_response(), **NO_APP, **problems(401, 403, 422, 503)},
)
async def app_route(request: Request, apps: Resources, key: Reader, app: AppName) -> Response:
    """Who gets which version of an application. The ETag is what a change has to name."""
    route = await route_of(apps, app)
    etag = f'"{route.number}"'
    if client_has(request, etag):
        return not_modified(etag, NO_STORE["Cache-Control"])
    return _rule(route, admin=is_admin(key))


@router.put(
    "/v1/apps/{app}/route",
    response_model=Rule,
    response_description="The rule as it is now.",
    responses={
        201: {
            "description": "It is the first one.",
            "content": {Json.media_type: {"schema": {"$ref": "#/components/schemas/Rule"}}},
        },
        **problems(401, 403, 409, 412, 415, 422, 428, 503),
    },
    openapi_extra={
        "parameters": preconditions("rule", '"3"', creates=True),
        **json_body(
            RuleForm, "Shares in percent by version; users, roles and headers that are left out stay.", _EXAMPLE
        ),
    },
)
async def put_app_route(
    request: Request, apps: Resources, key: Admin, app: AppName, *, force: Force = False
) -> Response:
    """Say who gets which version. Within half a second it holds, over HTTP and over MQTT alike.

    Whoever has a version whose share grows keeps it. What a rule does with a user comes first, then headers, then
    roles, then shares. 0 and 100 put all people over at once, and back.
    """
    form = await json_of(request, RuleForm, most=MAX_BODY)
    route, first = await put_rule(apps, request, key, app, form, force=force)
    answer = _rule(route, admin=True)
    if first:
        answer.status_code = 201
        answer.headers["Location"] = f"/v1/apps/{app}/route"
    return answer


@router.delete(
    "/v1/apps/{app}/route",
    status_code=204,
    response_class=Response,
    response_description="It has no rule any more. The log of its changes stays, and says who forgot it.",
    responses={**NO_APP, **problems(401, 403, 409, 412, 422, 428, 503)},
    openapi_extra={"parameters": preconditions("rule", '"3"')},
)
async def forget_app_route(request: Request, apps: Resources, key: Admin, app: AppName) -> Response:
    """Forget the rule and the last canary of an application that runs no more: another one can have a rule then.

    16 applications can have one, `api` and `broker` among them. Of one that runs again, the first version that is seen
    gets everybody.
    """
    await forget(apps, request, key, app)
    return Response(status_code=204)


@router.post(
    "/v1/apps/{app}/route/undo",
    response_model=Rule,
    response_description="The rule as it is now: the one before the newest change, under a new number.",
    responses={**NO_APP, **problems(401, 403, 409, 412, 422, 428, 503)},
    openapi_extra={"parameters": preconditions("rule", '"3"')},
)
async def undo_app_route(
    request: Request, apps: Resources, key: Admin, app: AppName, *, force: Force = False
) -> Response:
    """Undo the newest change: the same people get what they had. An undo can be undone, too."""
    return _rule(await undo(apps, request, key, app, force=force), admin=True)


@router.get(
    "/v1/apps/{app}/changes",
    response_model=RuleChanges,
    response_description="Who changed the rule, when and why; the newest first.",
    responses={**NO_APP, **problems(401, 403, 422, 503)},
)
async def app_changes(
    apps: Resources,
    key: Reader,
    app: AppName,
    limit: Annotated[int, Query(ge=1, le=CHANGES_KEPT, description="How many changes, at most.", examples=[20])] = 20,
) -> Response:
    """The changes of a rule that are kept, those of canaries among them."""
    changes = await apps.store.changes(app, limit)
    if not changes:
        await route_of(apps, app)
    bodies = [change_body(change, admin=is_admin(key)) for change in changes]
    return Json({"app": app, "changes": bodies}, headers=NO_STORE)


def _rule(route: Route, *, admin: bool) -> Json:
    return Json(rule_body(route, admin=admin), headers={"ETag": etag_of(route) or "", **NO_STORE})
