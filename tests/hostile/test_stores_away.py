"""Both stores are away at the very first start: all that needs Redis alone is there."""

from collections.abc import Callable

import httpx
import pytest
from paho.mqtt import subscribe
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from runtime.demo_users import kept_demo_users
from tests.conftest import free_port
from tests.hostile.running import Hostile, device

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def away(start_system: Callable[..., Hostile]) -> Hostile:
    return start_system(
        until="API key of an administrator, made now",
        DOCUMENT_STORE="cloudant",
        CLOUDANT_URL=f"http://127.0.0.1:{free_port()}",
        CLOUDANT_AUTH_TYPE="NOAUTH",
        TIMESERIES_STORE="influxdb",
        INFLUXDB_V2_URL=f"http://127.0.0.1:{free_port()}",
        INFLUXDB_V2_ORG="campus",
        INFLUXDB_V2_TOKEN="token",  # noqa: S106 - nobody is there to be shown it
    )


def test_users_counts_map_and_mirror_need_redis_alone(away: Hostile) -> None:
    folder, port = away.system.data_dir, away.system.mqtt_port
    key = (folder / "demo-api-key").read_text().strip()
    for node in ("broker-1", "broker-2"):
        away.wait(lambda node=node: away.readyz(node) == "ready", f"{node} is ready")
    away.wait(lambda: away.get("/v1/occupancy").status_code == 200, "the API answers")

    # A demo user logs in.
    (car,) = [user for user in kept_demo_users(folder) if user.name == "demo-car"]
    client = Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(car.name, car.password)
    client.connect("127.0.0.1", port)
    client.loop_start()
    away.wait(client.is_connected, "demo-car is logged in")
    client.disconnect()
    client.loop_stop()

    # Who is there now, by REST, on the map's page, and by the mirror.
    with device(away, "phone") as phones:
        phones.publish(3)
        away.wait(lambda: phones.acknowledged == 3, "positions are acknowledged")
    away.wait(lambda: away.get("/v1/zones/campus/occupancy").json().get("mobile") == 3, "three phones are counted")
    assert away.get("/").status_code == 200
    retained = subscribe.simple("v1/zones/campus/occupancy", hostname="127.0.0.1", port=port, qos=1)  # type: ignore[no-untyped-call]
    assert b'"zone":"campus"' in retained.payload

    # What a zone is can be changed; what needs a store says that it is away.
    login = {"Authorization": f"Bearer {key}"}
    etag = away.get("/v1/zones/kemmy").headers["ETag"]
    changed = httpx.patch(
        f"{away.system.url}/v1/zones/kemmy",
        headers={**login, "If-Match": etag, "Content-Type": "application/merge-patch+json"},
        json={"properties": {"capacity": 400}},
        timeout=30,
    )
    assert changed.status_code == 200
    range_ = "start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z"
    for path in (
        f"/v1/zones/kemmy/occupancy/history?kind=car&window=1h&{range_}",
        f"/v1/positions?zone=kemmy&{range_}",
    ):
        answer = httpx.get(f"{away.system.url}{path}", headers=login, timeout=60)
        assert (answer.status_code, answer.json()["title"]) == (503, "A store is away"), answer.text
        assert int(answer.headers["Retry-After"]) >= 1
    away.until_waiting("decoder", "archive (partition 0) waits")
    away.until_waiting("decoder", "rollup waits")
    away.until_waiting("api", "the occupancy store does not answer")
    away.check_nobody_died()
