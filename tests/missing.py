"""What a test does that needs a server which is not there."""

import os
from typing import NoReturn

import pytest


def missing(what: str, how: str) -> NoReturn:
    """A server that a test needs is not there: skip on a laptop, fail in CI, which can install it."""
    message = f"{what} is missing: {how}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
