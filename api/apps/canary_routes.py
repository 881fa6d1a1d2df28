"""/v1/apps/{app}/canary: a version that walks to all people by itself, or back."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.apps.body import canary_body
from api.apps.dependencies import NO_APP, NO_STORE, Admin, AppName, Reader, Resources, unknown_app
from api.apps.edits import CanaryForm, begin_canary, end_canary
from api.apps.types import AppCanary
from api.http.answers import Json
from api.http.bodies import json_body, json_of
from api.http.openapi import problems

MAX_BODY = 4096
router = APIRouter(tags=["apps"])


@router.post(
    "/v1/apps/{app}/canary",
    status_code=201,
    response_model=AppCanary,
    response_description="It runs: the first step has its share.",
    responses={**NO_APP, **problems(401, 403, 409, 412, 415, 422, 503)},
    openapi_extra=json_body(
        CanaryForm,
        "Which version, and how. Whatever is left out has the value that it has here.",
        {
            "to": "2",
            "steps": [5, 20, 50, 100],
            "hold_seconds": 60,
            "hold_requests": 200,
            "slower_by": 5,
            "measure": "/measure",
        },
    ),
)
async def begin_app_canary(request: Request, apps: Resources, key: Admin, app: AppName) -> Response:
    """Let a version walk to all people, step by step.

    In each step its errors and its slow answers are compared with those of the other versions, and so is a measure of
    the application's own where one is named. Where the new version does worse by more than chance, it goes back to
    what was before, and `why` says so.
    """
    canary = await begin_canary(apps, key, app, await json_of(request, CanaryForm, most=MAX_BODY))
    return Json(canary_body(canary), status_code=201, headers={"Location": f"/v1/apps/{app}/canary", **NO_STORE})


@router.get(
    "/v1/apps/{app}/canary",
    response_model=AppCanary,
    response_description="The canary that runs, or the last one.",
    responses={**NO_APP, **problems(401, 403, 422, 503)},
)
async def app_canary(apps: Resources, _key: Reader, app: AppName) -> Response:
    """How far a canary is, and why it is there."""
    canary = await apps.store.canary(app)
    if canary is None:
        raise unknown_app(f"{app} has had no canary. POST here begins one.")
    return Json(canary_body(canary), headers=NO_STORE)


@router.delete(
    "/v1/apps/{app}/canary",
    response_model=AppCanary,
    response_description="It has ended: the shares are those from before it.",
    responses={**NO_APP, **problems(401, 403, 409, 412, 422, 503)},
)
async def end_app_canary(apps: Resources, key: Admin, app: AppName) -> Response:
    """End a canary that runs, and go back to the shares from before it."""
    return Json(canary_body(await end_canary(apps, key, app)), headers=NO_STORE)
