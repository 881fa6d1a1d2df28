"""One running project for all tests of the containers, made from nothing; only where `-m containers` asks for it."""

import resource
import time
from collections.abc import Iterator

import pytest

from tests.containers.base_images import build_base_images, settings_of
from tests.containers.engine import running_engine
from tests.containers.people import People, people_of
from tests.containers.stack import ARTEFACTS, Stack, clear_artefacts, project

IMAGES = {"IMAGE_PREFIX": "campus-e2e-run"}
"""Not the names under which people's own images lie."""
SETTINGS = {"INFLUXDB_REPLICAS": "0", "DRAIN_SECONDS": "5", "PRIVACY": "open", "DOCUMENTS_KEEP": ""}
"""These tests count single devices, which nobody can where counts are protected: test_protected.py is about that."""
OPEN_FILES = min(65_536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
"""Where not even root may raise limits, containers cannot have more than this machine's own processes."""


class Figures:
    """Figures for those who watch."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter = config.pluginmanager.get_plugin("terminalreporter")
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line, with the time since the beginning."""
        if self._reporter is not None and self._capture is not None:
            with self._capture.global_and_fixture_disabled():
                self._reporter.ensure_newline()
                self._reporter.write_line(f"{time.monotonic() - self._began:6.1f} s  {text}")


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    return Figures(request.config)


@pytest.fixture(scope="session")
def engine(figures: Figures) -> Iterator[str]:
    clear_artefacts()
    ARTEFACTS.mkdir(parents=True)
    with running_engine(ARTEFACTS / "dockerd.log") as version:
        figures.say(f"Docker engine {version}")
        yield version


@pytest.fixture(scope="session")
def base_images(engine: str, figures: Figures) -> dict[str, str]:
    assert engine
    began = time.monotonic()
    images = build_base_images(ARTEFACTS / "base-images.log")
    figures.say(f"base images: {time.monotonic() - began:.0f} s")
    return settings_of(images)


@pytest.fixture(scope="session")
def stack(
    base_images: dict[str, str],
    figures: Figures,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Stack]:
    """The project, started as a user starts it. Its logs are kept if any test fails."""
    secrets = tmp_path_factory.mktemp("secrets")
    with project(
        {**base_images, **IMAGES, **SETTINGS, "SECRETS_FOLDER": str(secrets), "OPEN_FILES": str(OPEN_FILES)}
    ) as made:
        try:
            figures.say(f"images: {made.build():.0f} s")
            made.up()
            figures.say(f"up from nothing, all healthy: {made.up_seconds:.1f} s")
            yield made
        except BaseException:
            made.keep_logs()
            raise
        finally:
            if request.session.testsfailed:
                figures.say(f"logs: {made.keep_logs()}")


@pytest.fixture(scope="session")
def people(stack: Stack) -> People:
    return people_of(stack.secrets)
