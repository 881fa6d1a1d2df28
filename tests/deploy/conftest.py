"""A laptop whose environment sets nothing."""

import time
from collections.abc import Callable

import pytest

from deploy.laptop.settings import LaptopSettings

WAIT_SECONDS = 15.0


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LaptopSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def wait_until(true: Callable[[], bool], *, limit: float = WAIT_SECONDS) -> None:
    """Return as soon as `true` is; fails after `limit` seconds."""
    give_up = time.monotonic() + limit
    while not true():
        assert time.monotonic() < give_up, "what the test waits for did not happen"
        time.sleep(0.02)
