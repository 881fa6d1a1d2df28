"""`docker compose up` as it is shipped: what it tells are released counts, and no service holds what tells more."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from core.clock import format_rfc3339, system_clock
from tests.containers.conftest import IMAGES, OPEN_FILES, SETTINGS, Figures
from tests.containers.people import people_of
from tests.containers.senders import LEAKS, run_senders
from tests.containers.stack import Stack, project, until
from tests.oracle.naive import load_shapes

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2400), *LEAKS]
ZONE = "main"
DEVICES = 400
"""More than the upper edge of any first band of a zone, 130 + 43."""
WIDTH = 130


@pytest.fixture(scope="module")
def protected(
    base_images: dict[str, str],
    figures: Figures,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Stack]:
    settings = {name: value for name, value in SETTINGS.items() if name != "PRIVACY"}
    secrets = tmp_path_factory.mktemp("secrets")
    given = {**base_images, **IMAGES, **settings, "OPEN_FILES": str(OPEN_FILES), "SECRETS_FOLDER": str(secrets)}
    with project(given) as made:
        try:
            figures.say(f"images: {made.build():.0f} s")
            made.up()
            figures.say(f"up as shipped, all healthy: {made.up_seconds:.1f} s")
            yield made
        except BaseException:
            made.keep_logs()
            raise
        if request.session.testsfailed:
            figures.say(f"logs: {made.keep_logs()}")


def _positions() -> list[tuple[str, bytes]]:
    """A position of each of some phones, in one zone, without a time: as if it was observed when it comes in."""
    point = load_shapes()[ZONE].representative_point()
    features = (
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [round(point.x, 7), round(point.y, 7)]},
            "properties": {"device_id": f"protected-{number}"},
        }
        for number in range(DEVICES)
    )
    return [("mobile-iotp", base64.b64encode(json.dumps(feature).encode())) for feature in features]


def test_a_crowd_is_told_in_steps_and_when_nobody_was_seen(protected: Stack) -> None:
    people = people_of(protected.secrets)
    with httpx.Client(base_url=protected.url, timeout=30) as client:

        def told() -> dict[str, Any]:
            answer = client.get(f"/v1/zones/{ZONE}/occupancy")
            # 503 with Retry-After is an answer of a machine that is busy.
            assert answer.status_code in {200, 503}, answer.text
            found: dict[str, Any] = answer.json()
            return found | {"status": answer.status_code}

        assert not until(lambda: told() if told()["status"] == 200 else {}, "counts are told", 300)["mobile"]
        doors = [people.doors(protected)["mqtt"]]
        sent = run_senders(doors, people.gateway, "protected", _positions(), rate=None, beside=lambda _: None)
        assert sent == DEVICES
        answer = until(lambda: found if (found := told()).get("mobile") else {}, "the crowd is told of", 300, told=told)
        assert answer["mobile"] % WIDTH == 0
        assert answer["observed_at"] is None
        now = system_clock()
        window = {
            "kind": "mobile",
            "window": "5m",
            "start": format_rfc3339(now - 3_600_000),
            "end": format_rfc3339(now),
        }
        history = client.get(f"/v1/zones/{ZONE}/occupancy/history", params=window).raise_for_status().json()
        assert history["protected"] is True
        visits = client.get("/v1/flows", params={"kind": "mobile"})
        assert visits.status_code == 403, visits.text


def test_no_service_is_an_administrator_of_a_store(protected: Stack) -> None:
    for service, user in (("decoder", "writer"), ("api", "eraser")):
        assert protected.secret(service, "CLOUDANT_USERNAME") == user
        assert protected.secret(service, "CLOUDANT_PASSWORD") != protected.secret("couchdb", "password")
    assert "://api:" in protected.secret("api", "REDIS_URL")


def test_keys_of_devices_and_of_what_waits_are_where_they_can_be_destroyed(protected: Stack) -> None:
    keys = protected.one("redis-keys")
    password = protected.secret("decoder", "KEYS_REDIS_URL").split("@")[0].rpartition(":")[2]
    asked = keys.run(
        "redis-cli", "--user", "decoder", "--pass", password, "--no-auth-warning", "hgetall", "device-keys:{campus}"
    )
    assert len(asked.split()) >= 2
    assert protected.one("decoder").healthy
