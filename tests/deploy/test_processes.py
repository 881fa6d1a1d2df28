import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.laptop.processes import HAPROXY_CONFIG, Description, Programs, describe
from deploy.laptop.settings import LaptopSettings

EVERYWHERE = "0.0.0.0"  # noqa: S104 - that is what these tests are about
FOLDER = Path("/home/anna/my data")
PORTS = {
    "mqtt_port": 1883,
    "http_port": 8080,
    "broker_1_ops_port": 20001,
    "broker_2_ops_port": 20002,
    "decoder_ops_port": 20003,
    "broker_1_port": 20004,
    "broker_2_port": 20005,
    "api_port": 20006,
    "haproxy_ops_port": 20007,
    "broker_1_ws_port": 20008,
    "broker_2_ws_port": 20009,
    "api_ops_port": 20010,
}
USERS = {"HOME": "/home/anna", "OPS_PORT": "1", "CAMPUS_FILE": "my.geojson", "BROKER_REUSE_PORT": "true"}


def described(
    *,
    haproxy: str | None = "/usr/sbin/haproxy",
    redis_server: str | None = "/usr/bin/redis-server",
    keys_server: str | None = None,
    descriptors: int = 1_000_000,
    environment: dict[str, str] | None = None,
    **settings: Any,
) -> dict[str, Description]:
    processes = describe(
        LaptopSettings(**settings),
        folder=FOLDER,
        ports=PORTS,
        programs=Programs(redis_server=redis_server, haproxy=haproxy, descriptors=descriptors, keys_server=keys_server),
        environment=USERS | (environment or {}),
    )
    return {process.name: process for process in processes}


def test_with_haproxy_the_services_stand_behind_it() -> None:
    processes = described()

    assert list(processes) == ["redis", "broker-1", "broker-2", "haproxy", "decoder", "api", "controller"]
    for number in (1, 2):
        broker = processes[f"broker-{number}"]
        assert broker.command == [sys.executable, "-m", "broker"]
        assert broker.environment.items() >= {
            ("BROKER_NODE", f"broker-{number}"),
            ("BROKER_HOST", "127.0.0.1"),
            ("BROKER_PORT", str(PORTS[f"broker_{number}_port"])),
            ("BROKER_REUSE_PORT", "false"),
            ("BROKER_PROXY_PROTOCOL", "true"),
            ("OPS_PORT", str(PORTS[f"broker_{number}_ops_port"])),
        }
    assert processes["decoder"].environment["OPS_PORT"] == "20003"
    assert processes["api"].environment.items() >= {
        ("API_HOST", "127.0.0.1"),
        ("API_PORT", "20006"),
        ("OPS_PORT", "20010"),
    }
    assert processes["haproxy"].command == [
        *("sh", "-c", 'exec "$@" 3>&1', "haproxy"),
        *("/usr/sbin/haproxy", "-db", "-q", "-f", str(HAPROXY_CONFIG)),
    ]
    assert processes["haproxy"].environment.items() >= {
        ("BIND_ADDRESS", "127.0.0.1"),
        ("MQTT_PORT", "1883"),
        ("HTTP_PORT", "8080"),
        ("BROKER_1_PORT", "20004"),
        ("BROKER_1_OPS_PORT", "20001"),
        ("BROKER_2_PORT", "20005"),
        ("BROKER_2_OPS_PORT", "20002"),
        ("API_PORT", "20006"),
        ("HAPROXY_OPS_PORT", "20007"),
        ("BROKER_SEND_PROXY", "1"),
        ("HAPROXY_SOCKET", "/home/anna/my data/haproxy.sock"),
        ("ROUTES_FOLDER", "/home/anna/my data/routes"),
    }


@pytest.mark.parametrize(
    ("export", "more"),
    [
        ("off", []),
        ("kafka", ["exporter"]),
        ("parquet", ["exporter", "analytics"]),
        ("kafka, parquet", ["exporter", "analytics"]),
    ],
)
def test_what_is_exported_takes_a_decoder_of_its_own_and_the_lake_what_works_on_it(
    export: str, more: list[str]
) -> None:
    processes = described(export=export, environment={"EXPORT": export})
    assert list(processes)[7:] == more
    assert processes["decoder"].environment["EXPORT"] == export
    assert "STAGES" not in processes["decoder"].environment
    for name in more:
        assert not processes[name].needed
        assert processes[name].environment.items() >= {("EXPORT", export), ("OPS_PORT", "")}
    if more:
        assert processes["exporter"].command == [sys.executable, "-m", "decoder"]
        assert processes["exporter"].environment["STAGES"] == "export"


def test_without_haproxy_the_services_listen_on_the_public_ports_themselves() -> None:
    processes = described(haproxy=None, bind_address=EVERYWHERE)

    assert list(processes) == ["redis", "broker-1", "broker-2", "decoder", "api", "controller"]
    for name in ("broker-1", "broker-2"):
        assert processes[name].environment.items() >= {
            ("BROKER_NODE", name),
            ("BROKER_HOST", EVERYWHERE),
            ("BROKER_PORT", "1883"),
            ("BROKER_REUSE_PORT", "true"),
            ("BROKER_PROXY_PROTOCOL", "false"),
        }
    assert processes["api"].environment.items() >= {("API_HOST", EVERYWHERE), ("API_PORT", "8080")}


def test_only_the_public_ports_are_opened_to_the_network() -> None:
    processes = described(bind_address=EVERYWHERE)

    assert processes["haproxy"].environment["BIND_ADDRESS"] == EVERYWHERE
    assert processes["haproxy"].environment["HAPROXY_OPS_HOST"] == "127.0.0.1"
    for name in ("broker-1", "broker-2", "decoder", "api"):
        environment = processes[name].environment
        assert environment["OPS_HOST"] == "127.0.0.1"
        assert environment.get("BROKER_HOST", "127.0.0.1") == "127.0.0.1"
        assert environment.get("API_HOST", "127.0.0.1") == "127.0.0.1"


def test_every_service_finds_the_same_data() -> None:
    processes = described()

    assert {processes[name].environment["DATA_DIR"] for name in ("broker-1", "broker-2", "decoder", "api")} == {
        "/home/anna/my data"
    }


def test_what_the_user_has_set_reaches_the_services() -> None:
    assert all(process.environment["CAMPUS_FILE"] == "my.geojson" for process in described().values())


def test_the_api_mirrors_as_the_demo_service_through_the_public_port() -> None:
    assert described(bind_address=EVERYWHERE)["api"].environment.items() >= {
        ("MIRROR", "true"),
        ("MIRROR_URL", "mqtt://127.0.0.1:1883"),
        ("MIRROR_USERNAME", "demo-service"),
    }


def test_what_needs_a_key_over_http_is_not_mirrored_unless_it_is_asked_for() -> None:
    assert described(api_public_occupancy=False)["api"].environment["MIRROR"] == "false"


def test_a_redis_that_runs_already_is_not_started() -> None:
    assert "redis" not in described(redis_server=None)


@pytest.mark.parametrize(
    ("given", "runs"),
    [
        ({}, False),
        ({"privacy": "protected"}, True),
        ({"privacy": "strict"}, True),
        ({"raw_encryption": True}, True),
        ({"device_key_rotation": "week"}, True),
        ({"device_key_rotation": "never"}, False),
        ({"privacy": "protected", "keys_redis_url": "redis://elsewhere"}, False),
    ],
)
def test_a_redis_of_keys_runs_where_something_needs_one_and_none_is_named(given: dict[str, Any], *, runs: bool) -> None:
    assert LaptopSettings(**given).runs_keys_redis is runs


def test_the_services_are_told_of_the_redis_of_keys_before_its_socket_is_there() -> None:
    processes = described(privacy="protected", keys_server="/usr/bin/redis-server")
    assert list(processes)[:2] == ["redis", "keys"]
    assert "/home/anna/my data/keys.sock" in processes["keys"].command
    for name in ("broker-1", "broker-2", "decoder", "api"):
        assert processes[name].environment["KEYS_REDIS_URL"] == "unix:///home/anna/my%20data/keys.sock"
    assert "KEYS_REDIS_URL" not in described()["decoder"].environment
    assert "keys" not in described()


@pytest.mark.parametrize(("given", "passed"), [({}, "true"), ({"mqtt_allow_anonymous": False}, "false")])
def test_clients_need_no_user_on_a_laptop_unless_it_is_asked_for(given: dict[str, Any], passed: str) -> None:
    assert described(**given)["broker-1"].environment["MQTT_ALLOW_ANONYMOUS"] == passed


@pytest.mark.parametrize(
    ("descriptors", "wanted", "given"),
    [(1_000_000, 2000, "2000"), (1024, 2000, "427"), (1024, 100, "100"), (64, 2000, "10")],
)
def test_haproxy_takes_no_more_connections_than_it_may_open_files(descriptors: int, wanted: int, given: str) -> None:
    processes = described(descriptors=descriptors, haproxy_maxconn=wanted)

    assert processes["haproxy"].environment["HAPROXY_MAXCONN"] == given


@pytest.mark.parametrize("descriptors", [64, 1024, 20_000])
def test_one_address_gets_a_part_of_what_haproxy_takes_and_mqtt_leaves_something_to_http(descriptors: int) -> None:
    shares = {
        name: int(value)
        for name, value in described(descriptors=descriptors)["haproxy"].environment.items()
        if name.endswith(("MAXCONN", "CONNECTIONS"))
    }
    assert 1 <= shares["ADDRESS_CONNECTIONS"] < shares["MQTT_MAXCONN"]
    assert 1 <= shares["ADDRESS_HTTP_CONNECTIONS"] < shares["HTTP_MAXCONN"]
    assert 1 <= shares["APP_CONNECTIONS"] <= shares["ADDRESS_HTTP_CONNECTIONS"]
    # However many hang, and each of the others has its sixteenth: so much is left to the API.
    assert shares["APPS_CONNECTIONS"] * 2 <= shares["HTTP_MAXCONN"] or shares["HTTP_MAXCONN"] < 10
    assert shares["MQTT_MAXCONN"] + shares["HTTP_MAXCONN"] < shares["HAPROXY_MAXCONN"]


def test_what_somebody_asks_haproxy_to_log_is_logged() -> None:
    """Its streams are shut by -q: the lines go by another descriptor of the same pipe."""
    environment = described(log_level="warning", environment={"HAPROXY_LOG_LEVEL": "info"})["haproxy"].environment
    assert environment["HAPROXY_LOG_LEVEL"] == "info"
    assert environment["HAPROXY_LOG_TO"] == "fd@3"


@pytest.mark.parametrize(("level", "lines"), [("info", "notice"), ("debug", "info")])
def test_haproxy_writes_a_line_for_each_connection_only_for_debugging(level: str, lines: str) -> None:
    assert described(log_level=level)["haproxy"].environment["HAPROXY_LOG_LEVEL"] == lines


def test_nothing_moves_by_itself_unless_it_is_asked_for() -> None:
    assert "crowd" not in described()


def test_the_crowd_of_a_demo_publishes_through_the_public_port() -> None:
    crowd = described(demo=True, demo_devices=2000, bind_address=EVERYWHERE, mqtt_port=1883)["crowd"]

    assert crowd.command[:4] == [sys.executable, "-m", "simulator", "campus"]
    assert " ".join(crowd.command[4:]) == "--devices 2000 --hours busy --warm"
    assert crowd.environment.items() >= {
        ("MQTT_HOST", "127.0.0.1"),
        ("MQTT_PORT", "1883"),
        ("DATA_DIR", "/home/anna/my data"),
        ("CAMPUS_FILE", "my.geojson"),
    }
    assert [name for name, each in described(demo=True).items() if not each.needed] == ["controller", "crowd"]


@pytest.mark.parametrize(
    ("environment", "stages"),
    [
        ({}, "observe,archive,rollup,judge"),
        ({"ARCHIVE": "every"}, "observe,archive,rollup,judge"),
        ({"ARCHIVE": "off"}, None),
        ({"STAGES": "observe"}, "observe"),
    ],
)
def test_a_demo_judges_unless_something_else_was_chosen(environment: dict[str, str], stages: str | None) -> None:
    assert described(demo=True, environment=environment)["decoder"].environment.get("STAGES") == stages
    assert "judge" not in described(environment=environment)["decoder"].environment.get("STAGES", "")


def test_the_controller_finds_what_apps_run_has_written_and_applies_rules_where_there_is_a_haproxy() -> None:
    told = described()["controller"].environment
    assert told["REGISTRY"] == "file"
    assert not told["OPS_PORT"], "that of whoever starts the run would be one that something else has"
    assert told["REGISTRY_FOLDER"] == "/home/anna/my data/apps"
    assert told["ROUTES_FOLDER"] == described()["haproxy"].environment["ROUTES_FOLDER"]
    assert told["HAPROXY_SOCKET"] == described()["haproxy"].environment["HAPROXY_SOCKET"]
    assert told["CONTROLLER_STAGES"] == "registry,apply,canary"
    assert described(haproxy=None)["controller"].environment["CONTROLLER_STAGES"] == "registry,canary"
