"""What runs on a laptop: each process, its command and its environment."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.kinds import Role
from deploy.laptop.disk_reserve import reserve_path
from deploy.laptop.ports import LOOPBACK, reachable, shown
from deploy.laptop.redis_server import keys_redis_command, redis_command
from deploy.laptop.settings import LaptopSettings
from runtime.demo_users import demo_name
from runtime.settings import keys_address

HAPROXY_CONFIG = Path(__file__).resolve().parents[2] / "haproxy" / "haproxy.cfg"
HAPROXY_SOCKET = "haproxy.sock"
ROUTES_FOLDER = "routes"
"""HAProxy's maps: who gets which version."""
HAPROXY_SOCKET_MAX = 90
"""Bytes of its path: HAProxy adds a suffix of its own while it starts."""
HAPROXY_LOG_LEVELS = {"debug": "info", "info": "notice", "warning": "warning", "error": "err"}
REDIS = "redis"
KEYS = "keys"
"""The Redis that has nothing but keys, where something needs one."""
CROWD = "crowd"
"""The process of a demo that moves devices. It starts when all else is ready."""


@dataclass(frozen=True, slots=True)
class Description:
    """One process."""

    name: str
    command: list[str]
    environment: dict[str, str]
    needed: bool = True
    """Whether all else ends where this one cannot run."""


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs that are not ours, by their paths."""

    redis_server: str | None
    """None where REDIS_URL names a Redis that runs already."""
    haproxy: str | None
    """None where there is none: then the nodes and the API listen on the public ports themselves."""
    descriptors: int
    """How many files and sockets one process may open."""
    keys_server: str | None = None
    """None where nothing needs a Redis of keys, or KEYS_REDIS_URL names one."""


def describe(
    settings: LaptopSettings,
    *,
    folder: Path,
    ports: Mapping[str, int],
    programs: Programs,
    environment: Mapping[str, str],
) -> list[Description]:
    """The processes of a run, Redis first, and then that of keys.

    `folder` is DATA_DIR as an absolute path, `ports` as chosen for this run.
    """
    shared = service_environment(settings, folder=folder, environment=environment)
    if programs.redis_server:
        shared["REDIS_RESERVE"] = str(reserve_path(folder))
    servers = [
        Description(name, command(program, folder, settings.log_level), dict(environment))
        for name, program, command in (
            (REDIS, programs.redis_server, redis_command),
            (KEYS, programs.keys_server, keys_redis_command),
        )
        if program
    ]
    haproxy = [_haproxy(settings, folder, ports, programs, environment)] if programs.haproxy else []
    behind = programs.haproxy is not None
    return [
        *servers,
        *(_broker(number, settings, ports, shared, behind=behind) for number in (1, 2)),
        *haproxy,
        _service("decoder", shared, OPS_PORT=str(ports["decoder_ops_port"]), **_judging(settings, environment)),
        _service(
            "api",
            shared,
            API_HOST=LOOPBACK if behind else str(settings.bind_address),
            API_PORT=str(ports["api_port" if behind else "http_port"]),
            OPS_PORT=str(ports["api_ops_port"]),
            **_mirror(settings, ports, environment),
        ),
        _controller(folder, shared, behind=behind),
        *_exporting(settings, shared),
        *([_crowd(settings, ports, shared)] if settings.demo else []),
    ]


def service_environment(settings: LaptopSettings, *, folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What all services are given; `folder` is DATA_DIR as an absolute path."""
    # Named, for they may start before its socket is there.
    keys = {"KEYS_REDIS_URL": keys_address(folder)} if settings.runs_keys_redis else {}
    return {
        **environment,
        **keys,
        "DATA_DIR": str(folder),
        "MQTT_ALLOW_ANONYMOUS": str(settings.mqtt_allow_anonymous).lower(),
        "LOG_TIME": "false",  # the runner gives it
        "OPS_HOST": LOOPBACK,
        "PYTHONUNBUFFERED": "1",
    }


def _mirror(settings: LaptopSettings, ports: Mapping[str, int], environment: Mapping[str, str]) -> dict[str, str]:
    own = {
        # Any MQTT client may read it: where REST asks for a key, somebody has to ask for it.
        "MIRROR": str(settings.api_public_occupancy).lower(),
        "MIRROR_URL": f"mqtt://{shown(reachable(settings.bind_address), ports['mqtt_port'])}",
        # The first start makes this user when all else runs; the API reads its password from DATA_DIR then.
        "MIRROR_USERNAME": demo_name(Role.SERVICE.name),
    }
    return {name: environment.get(name) or value for name, value in own.items()}


def _judging(settings: LaptopSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """A demo has marks, unless somebody chose stages, or an archive that cannot be judged."""
    chosen = environment.get("STAGES") or environment.get("ARCHIVE", "every") not in {"", "every"}
    return {"STAGES": "observe,archive,rollup,judge"} if settings.demo and not chosen else {}


def _exporting(settings: LaptopSettings, shared: Mapping[str, str]) -> list[Description]:
    """Where EXPORT says so: a decoder that exports, and what works on the lake; all else runs without them."""
    own = {**shared, "OPS_PORT": ""}
    python = [sys.executable, "-m"]
    found = []
    if settings.targets:
        stage = {"STAGES": "export", "DECODER_NAME": "exporter"}
        found.append(Description("exporter", [*python, "decoder"], own | stage, needed=False))
    if "parquet" in settings.targets:
        found.append(Description("analytics", [*python, "analytics"], own, needed=False))
    return found


def _crowd(settings: LaptopSettings, ports: Mapping[str, int], shared: Mapping[str, str]) -> Description:
    # By its command: this room knows no simulator.
    moving = [sys.executable, "-m", "simulator", "campus", "--devices", str(settings.demo_devices)]
    here = {"MQTT_HOST": reachable(settings.bind_address), "MQTT_PORT": str(ports["mqtt_port"])}
    return Description(CROWD, [*moving, "--hours", "busy", "--warm"], {**shared, **here}, needed=False)


def _service(package: str, shared: Mapping[str, str], *, name: str = "", **own: str) -> Description:
    return Description(name or package, [sys.executable, "-m", package], {**shared, **own})


def _broker(
    number: int, settings: LaptopSettings, ports: Mapping[str, int], shared: Mapping[str, str], *, behind: bool
) -> Description:
    name = f"broker-{number}"
    return _service(
        "broker",
        shared,
        name=name,
        BROKER_NODE=name,
        BROKER_HOST=LOOPBACK if behind else str(settings.bind_address),
        BROKER_PORT=str(ports[f"broker_{number}_port" if behind else "mqtt_port"]),
        # Without HAProxy there is nobody who could take /mqtt on the port of HTTP apart from the API.
        BROKER_WS_PORT=str(ports[f"broker_{number}_ws_port"] if behind else 0),
        BROKER_REUSE_PORT="false" if behind else "true",
        # Behind HAProxy the nodes are told whose connections they are, for shares are counted by address.
        BROKER_PROXY_PROTOCOL="true" if behind else "false",
        OPS_PORT=str(ports[f"broker_{number}_ops_port"]),
    )


def _haproxy(
    settings: LaptopSettings,
    folder: Path,
    ports: Mapping[str, int],
    programs: Programs,
    environment: Mapping[str, str],
) -> Description:
    connections = min(settings.haproxy_maxconn, _affordable_connections(programs.descriptors))
    own = {
        "BIND_ADDRESS": str(settings.bind_address),
        "BROKER_1_HOST": LOOPBACK,
        "BROKER_2_HOST": LOOPBACK,
        "API_HOST": LOOPBACK,
        "HAPROXY_OPS_HOST": LOOPBACK,
        "HAPROXY_LOG_LEVEL": environment.get("HAPROXY_LOG_LEVEL") or HAPROXY_LOG_LEVELS[settings.log_level],
        "HAPROXY_LOG_TO": "fd@3",
        "BROKER_SEND_PROXY": "1",
        "ROUTES_FOLDER": str(folder / ROUTES_FOLDER),
        "PAUSE_LUA": str(HAPROXY_CONFIG.with_name("pause.lua")),
        **_shares(connections, environment),
        **{name.upper(): str(port) for name, port in ports.items()},
    }
    if _has_room(folder / HAPROXY_SOCKET):
        own["HAPROXY_SOCKET"] = str(folder / HAPROXY_SOCKET)
    # -db: in the foreground. -q: silent once it has started, for at a start every server is down for a moment, and
    # later the services themselves say what they wait for. It shuts its own streams for that, and would shut its log
    # with them; another descriptor of the same pipe stays open.
    command = [str(programs.haproxy), "-db", "-q", "-f", str(HAPROXY_CONFIG)]
    return Description("haproxy", ["sh", "-c", 'exec "$@" 3>&1', "haproxy", *command], {**environment, **own})


def _controller(folder: Path, shared: Mapping[str, str], *, behind: bool) -> Description:
    """What runs in versions on this machine, `python -m apps run` puts into a folder of DATA_DIR."""
    applies = behind and _has_room(folder / HAPROXY_SOCKET)
    own = {
        # Its metrics have no port of this run.
        "OPS_PORT": "",
        "REGISTRY": "file",
        "REGISTRY_FOLDER": str(folder / "apps"),
        "HAPROXY_SOCKET": str(folder / HAPROXY_SOCKET),
        "ROUTES_FOLDER": str(folder / ROUTES_FOLDER),
        "CONTROLLER_STAGES": "registry,apply,canary" if applies else "registry,canary",
    }
    return Description("controller", [sys.executable, "-m", "controller"], {**shared, **own}, needed=False)


def _has_room(socket: Path) -> bool:
    return len(str(socket).encode()) <= HAPROXY_SOCKET_MAX


def _shares(connections: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Of HAProxy's connections: of MQTT, of HTTP, of one address, of one application, of all; others have the rest."""
    mqtt, http = max(connections * 13 // 20, 1), max(connections * 3 // 10, 1)
    own = {
        "MQTT_MAXCONN": mqtt,
        "HTTP_MAXCONN": http,
        "ADDRESS_CONNECTIONS": max(mqtt * 4 // 5, 1),
        "ADDRESS_HTTP_CONNECTIONS": max(http * 3 // 4, 1),
        "APP_CONNECTIONS": max(http // 9, 1),
        "APPS_CONNECTIONS": max(http // 3, 1),
    }
    given = {name: environment.get(name) or str(value) for name, value in own.items()}
    return {"HAPROXY_MAXCONN": str(connections), **given}


def _affordable_connections(descriptors: int) -> int:
    # HAProxy does not start if it could not open two for each connection, one for the check of each server, and some
    # thirty for itself.
    return max((descriptors - 170) // 2, 10)
