"""/v1/apps: which applications run, in which versions, and how they do."""

from fastapi import APIRouter
from starlette.responses import Response

from api.apps.body import app_body, counted, seen_at
from api.apps.dependencies import NO_APP, NO_STORE, AppName, Reader, Resources, is_admin, unknown_app
from api.apps.types import App, Apps
from api.http.answers import Json
from api.http.openapi import problems

router = APIRouter(tags=["apps"])


@router.get(
    "/v1/apps",
    response_model=Apps,
    response_description="All that run or have a rule, `api` and `broker` among them.",
    responses=problems(401, 403, 503),
)
async def all_apps(apps: Resources, key: Reader) -> Response:
    """Applications and their versions: what runs and how healthy it is, shares, figures, canaries.

    What runs is what the platform (Docker, Kubernetes) says. Addresses are for administrators.
    """
    store, admin = apps.store, is_admin(key)
    routes, seen, canaries = await store.routes(), await store.seen(), await store.canaries()
    figures, places = (await store.figures(apps.clock())).values(), await store.places()
    names = sorted({*routes, *(each.app for each in seen.instances)} if seen else routes)
    bodies = [
        app_body(
            app,
            route=routes.get(app),
            seen=seen,
            counted=counted(app, figures, places),
            canary=canaries.get(app),
            admin=admin,
        )
        for app in names
    ]
    return Json({"apps": bodies, "seen_at": seen_at(seen)}, headers=NO_STORE)


@router.get(
    "/v1/apps/{app}",
    response_model=App,
    response_description="The application.",
    responses={**NO_APP, **problems(401, 403, 422, 503)},
)
async def one_app(apps: Resources, key: Reader, app: AppName) -> Response:
    """One application and its versions, as /v1/apps has them."""
    store = apps.store
    route, seen = await store.route(app), await store.seen()
    if route is None and not (seen and seen.healthy(app)):
        raise unknown_app(f"No version of {app} runs, and it has no rule. /v1/apps lists what there is.")
    figures, places = (await store.figures(apps.clock())).values(), await store.places()
    body = app_body(
        app,
        route=route,
        seen=seen,
        counted=counted(app, figures, places),
        canary=await store.canary(app),
        admin=is_admin(key),
    )
    return Json(body, headers=NO_STORE)
