"""The application: routes, errors and measurement, put together around a `State`."""

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from api import openapi, problems
from api.head import HeadAsGet
from api.metrics import Measured
from api.pages import pages
from api.routes import history, occupancy, operations, zones
from api.state import State

VERSION = "1"
"""Of the interface: what /v1 stands for."""
TAGS = [
    {"name": "zones", "description": "The campus and its zones, as GeoJSON."},
    {"name": "occupancy", "description": "How many cars and phones are where, now and over time."},
    {"name": "operations", "description": "For those who run the API."},
]


def create_app(state: State) -> FastAPI:
    """The ASGI application that answers from these resources; it opens and closes none of them."""
    app = FastAPI(
        title="Campus occupancy",
        version=VERSION,
        description=openapi.DESCRIPTION,
        openapi_tags=TAGS,
        # These would load their scripts from a CDN: /docs is a page of our own.
        docs_url=None,
        redoc_url=None,
        # A redirect would be made of the client's own Host header.
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        # Outermost first.
        middleware=[
            Middleware(HeadAsGet),
            Middleware(Measured, metrics=state.metrics),
            Middleware(problems.Defects),
        ],
    )
    app.state.resources = state
    for router in (zones.router, occupancy.router, history.router, operations.router, pages()):
        app.include_router(router)
    problems.answer_problems(app)
    openapi.describe(app)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
