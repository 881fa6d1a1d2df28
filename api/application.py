"""The application: routes, errors and measurement, put together around the rooms."""

from dataclasses import fields

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from api.analytics import routes as analytics
from api.apps import canary_routes as canaries
from api.apps import routes as apps
from api.apps import rule_routes as rules
from api.faults import routes as faults
from api.history import routes as history
from api.http import openapi, problems
from api.http import routes as operations
from api.http.head_middleware import HeadAsGet
from api.http.kind_words import many
from api.http.limits import BodyLimited, RateLimited
from api.http.metrics import ApiMetrics, Measured
from api.http.traced import Shown, Traced
from api.live import routes as events
from api.occupancy import routes as occupancy
from api.positions import device_routes as devices
from api.positions import ingest_routes as ingest
from api.positions import routes as positions
from api.privacy import steps_of
from api.rooms import Rooms
from api.settings import ApiSettings
from api.web.notice import NoticeOptions
from api.web.pages import MapOptions, pages
from api.zones import change_routes as zone_changes
from api.zones import routes as zones
from core.kinds import Kinds
from runtime.tracing import Tracing

VERSION = "1"
"""Of the interface: what /v1 stands for."""


def create_app(
    rooms: Rooms, *, settings: ApiSettings, metrics: ApiMetrics, traced: tuple[Tracing, Shown] | None = None
) -> FastAPI:
    """The ASGI application that answers from these rooms; it opens and closes nothing of theirs.

    `traced` is what makes spans of requests, and knows of which; unless given, none are made.
    """
    app = FastAPI(
        title="Campus occupancy",
        version=VERSION,
        description=openapi.description(rooms.kinds),
        openapi_tags=_tags(rooms.kinds),
        # These would load their scripts from a CDN: /docs is a page of our own.
        docs_url=None,
        redoc_url=None,
        # A redirect would be made of the client's own Host header.
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        # Outermost first.
        middleware=[
            Middleware(HeadAsGet),
            Middleware(Measured, metrics=metrics),
            *_traced(traced, rooms),
            *_cross_origin(settings),
            Middleware(problems.Defects),
            *_rate_limit(rooms),
            Middleware(BodyLimited, most=settings.api_max_body),
        ],
    )
    for room in fields(rooms):
        # Under the names that `api.http.dependencies.opened` is called with.
        setattr(app.state, room.name, getattr(rooms, room.name))
    for router in (
        # The first is asked first: what is asked for most often.
        occupancy.router(rooms.kinds, released=not settings.policy.is_open),
        zones.router,
        zone_changes.router,
        events.router(rooms.kinds),
        history.router(rooms.kinds),
        analytics.router(rooms.kinds),
        positions.router(rooms.kinds, guarded=not settings.policy.is_open),
        ingest.router(rooms.kinds),
        devices.router(rooms.kinds),
        apps.router,
        rules.router,
        canaries.router,
        faults.router,
        operations.router,
        pages(rooms.kinds, _map_options(settings), _notice_options(settings)),
    ):
        app.include_router(router)
    problems.answer_problems(app)
    openapi.describe(app, rooms.kinds)
    return app


def _map_options(settings: ApiSettings) -> MapOptions:
    return MapOptions(
        tile_url=settings.tile_url,
        tile_attribution=settings.tile_attribution,
        min_count=settings.policy.least,
        released=steps_of(settings.policy),
    )


def _tags(kinds: Kinds) -> list[dict[str, str]]:
    return [
        {"name": "zones", "description": "The campus and its zones, as GeoJSON."},
        {"name": "occupancy", "description": f"How many {many(kinds)} are where, now and over time."},
        {"name": "analytics", "description": "Visits, flows and forecasts, as jobs have computed them."},
        {"name": "positions", "description": "Single positions, read and sent; personal data, for those with a key."},
        {"name": "devices", "description": "Forgetting a device, for administrators."},
        {"name": "apps", "description": "Applications in versions: what runs, who gets which, canaries."},
        {"name": "faults", "description": "Faults on purpose, each for a time; changed by administrators."},
        {"name": "operations", "description": "For those who run the API."},
    ]


def _cross_origin(settings: ApiSettings) -> list[Middleware]:
    if not settings.origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "If-Match",
                "If-None-Match",
                "Last-Event-ID",
                "X-API-Key",
            ],
            expose_headers=[
                "Computed-At",
                "Data-Begin",
                "Data-End",
                "ETag",
                "Kept-Since",
                "Link",
                "Location",
                "Protected",
                "Recorded-Minutes",
                "Retry-After",
                "X-Request-ID",
            ],
            max_age=3600,
        )
    ]


def _rate_limit(rooms: Rooms) -> list[Middleware]:
    if rooms.requests is None:
        return []
    return [Middleware(RateLimited, take=rooms.requests.take, whose=rooms.access.client_of)]


def _traced(traced: tuple[Tracing, Shown] | None, rooms: Rooms) -> list[Middleware]:
    if traced is None:
        return []
    tracing, shown = traced
    return [Middleware(Traced, tracing=tracing, shown=shown, clock=rooms.occupancy.clock)]


def _operation_id(route: APIRoute) -> str:
    return route.name


def _notice_options(settings: ApiSettings) -> NoticeOptions:
    return NoticeOptions(
        contact=settings.privacy_contact,
        public=settings.api_public_occupancy,
        policy=settings.policy,
        flows_least=max(settings.flows_min_devices, settings.policy.least),
        documents_keep=settings.documents_keep or "",
    )
