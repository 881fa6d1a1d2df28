"""The images: small, and with nothing in them that their service does not need."""

import json
from typing import Any

import pytest

from tests.containers.conftest import IMAGES, Figures
from tests.containers.engine import docker
from tests.containers.stack import BUILT, Stack

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2400)]
API_MEGABYTES = 225
PACKAGES = {
    "setup": {"deploy"},
    "broker": {"core", "runtime", "state", "disclosure", "broker"},
    "decoder": {
        "core",
        "runtime",
        "state",
        "geofence",
        "documents",
        "timeseries",
        "payloads",
        "backfill",
        "lake",
        "disclosure",
        "decoder",
    },
    "api": {"core", "runtime", "state", "geofence", "documents", "timeseries", "payloads", "disclosure", "api"},
    "autoscaler": {"core", "runtime", "state", "autoscaler"},
    "backup": {"core", "runtime", "state", "documents", "timeseries", "backup"},
    "controller": {"core", "runtime", "state", "controller"},
    "simulator": {"core", "runtime", "geofence", "payloads", "simulator", "deploy"},
}
"""What of ours may be in them: the rows of the table in docs/architecture.md."""
ENDS_BY_ITSELF = {"backup", "setup", "simulator"}
"""What runs in these is over, or is no server: there is no health to check."""
BUILDERS = ("gcc", "cc", "make", "pip", "pip3", "git", "curl", "wget")


def image(service: str) -> str:
    return f"{IMAGES['IMAGE_PREFIX']}/{service}:dev"


def described(service: str) -> dict[str, Any]:
    [about] = json.loads(docker("image", "inspect", image(service)))
    found: dict[str, Any] = about
    return found


def in_image(service: str, *command: str) -> str:
    return docker("run", "--rm", "--network", "none", "--entrypoint", command[0], image(service), *command[1:])


def test_the_image_of_the_api_is_small(stack: Stack, figures: Figures) -> None:
    assert stack.name
    megabytes = {service: described(service)["Size"] / 1e6 for service in BUILT}
    figures.say("sizes: " + ", ".join(f"{service} {size:.0f} MB" for service, size in megabytes.items()))
    assert megabytes["api"] < API_MEGABYTES


@pytest.mark.parametrize("service", BUILT)
def test_an_image_says_what_it_is_runs_as_nobody_in_particular_and_can_tell_its_health(
    stack: Stack, service: str
) -> None:
    assert stack.name
    config = described(service)["Config"]
    assert config["User"].split(":")[0] not in ("", "0", "root")
    for label in ("title", "description", "licenses", "version", "revision"):
        assert config["Labels"][f"org.opencontainers.image.{label}"]
    assert ("Healthcheck" in config) == (service not in ENDS_BY_ITSELF)


@pytest.mark.parametrize("service", sorted(PACKAGES.keys() & set(BUILT)))
def test_an_image_holds_the_packages_that_its_service_may_import_and_no_others(stack: Stack, service: str) -> None:
    assert stack.name
    listed = in_image(service, "find", "/app", "-maxdepth", "2", "-name", "__init__.py")
    assert {line.split("/")[2] for line in listed.split()} == PACKAGES[service]
    assert "tests" not in in_image(service, "ls", "/app").split()


@pytest.mark.parametrize("service", sorted(PACKAGES.keys() & set(BUILT) - {"setup"}))
def test_nothing_in_an_image_builds_or_downloads(stack: Stack, service: str) -> None:
    assert stack.name
    found = in_image(
        service, "sh", "-c", f"for name in {' '.join(BUILDERS)}; do command -v $name; done; ls /venv/bin; true"
    )
    assert not [line for line in found.split() if line.rsplit("/", 1)[-1] in BUILDERS], found
    assert "no" in in_image(
        service, "python", "-c", "import importlib.util as u; print('yes' if u.find_spec('pip') else 'no')"
    )


@pytest.mark.parametrize("service", BUILT)
def test_no_image_was_given_a_secret_or_the_history_of_the_project(stack: Stack, service: str) -> None:
    assert stack.name
    config = described(service)["Config"]
    assert not [entry for entry in config["Env"] if any(word in entry.upper() for word in ("PASSWORD", "TOKEN="))]
    listed = in_image(service, "sh", "-c", "ls -a /app /secrets /run/secrets 2>/dev/null; true")
    assert not {".git", ".env", "secrets", "values.json"} & set(listed.split())
