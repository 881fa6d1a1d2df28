"""How a route receives what its room works with: opened once by whoever starts the API, and kept on the application."""

from typing import Any

from fastapi import Depends
from starlette.requests import Request


def opened(name: str) -> Any:  # noqa: ANN401 - as fastapi.Depends
    """The dependency on what `api.application` keeps under this name."""

    async def resources(request: Request) -> Any:  # noqa: ANN401 - the parameter has the type
        return getattr(request.app.state, name)

    return Depends(resources)
