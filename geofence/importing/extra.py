"""The libraries that read formats, which no service has."""

from importlib import import_module
from typing import Any

from geofence.importing.found import CannotImportError


def needed(library: str) -> Any:  # noqa: ANN401 - a module that may not be there
    """A library of the extra `campus`. Raises CannotImportError with how to install it."""
    try:
        return import_module(library)
    except ImportError as error:
        raise CannotImportError(
            f"reading it takes {library}, which is not installed: make campus FILE=... installs it, and so does "
            "python -m pip install --require-hashes -r requirements/campus.txt"
        ) from error
