"""Make the secrets of a compose run, once: `python -m deploy.compose.make_secrets FOLDER [HOST NAME...]`.

The standard library alone, and `openssl` by way of `haproxy/certificate`. Each service finds its secrets in a folder
of its own, readable by its user alone; what people need lies beside them, owned by whoever owns FOLDER. What is there
stays: remove `values.json` to have all of it made anew, or one value in it for that one.
"""

import base64
import hashlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.access.acl import DEFAULT_VERSION, KEYS_USERS, acl, users, version_for
from deploy.compose.through_keeper import through_keeper
from deploy.compose.welcome import FIRST_START

OURS = 10001
"""The user of our Python images; the others are those of the images of HAProxy, Redis and so on."""
HAPROXY, REDIS, COUCHDB, INFLUXDB = 99, 999, 5984, 1000
GRAFANA = 472
VALUES = "values.json"
MIRROR_USER = "mirror"
RAW_REDIS_URL = "RAW_REDIS_URL"
_ONCE: Mapping[str, tuple[str, ...]] = {"node-red": ("COUCHDB_PASSWORD",)}
"""What earlier versions gave to a service, and this one takes from it."""
REDIS_AT = "redis://redis:6379/0"
"""REDIS_URL without its user, where the variable REDIS_AT says nothing else."""
KEYS_REDIS_AT = "redis://redis-keys:6379/0"
"""KEYS_REDIS_URL without its user; there is one in each run."""
OLD_PASSWORD = "redis_password"  # noqa: S105 - a name
"""Of `campus`, the one user of all services of earlier versions: where there was one, it stays for this version."""
COUCHDB_ADMIN = "campus"
"""Who makes the databases of CouchDB and its users, and is nobody who runs all the time."""
COUCHDB_USERS = ("writer", "reader", "eraser")
"""Users of CouchDB, as `python -m documents setup` makes them."""
_ROOT = Path(__file__).resolve().parents[2]
_CERTIFICATE = _ROOT / "haproxy" / "certificate"
KINDS = _ROOT / "core" / "kinds.json"
"""The table of kinds, where KINDS_FILE names no other."""


def _password() -> str:
    return secrets.token_urlsafe(24)


def _api_key() -> str:
    secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    return f"ck_{secrets.token_hex(8)}_{secret}"


def redis_value(user: str) -> str:
    """The name in `values.json` of the password of a user of Redis."""
    return f"redis_{user.replace('-', '_')}_password"


_MADE: Mapping[str, Callable[[], str]] = {
    **{redis_value(user): _password for user in users()},
    "grafana_password": lambda: secrets.token_urlsafe(12),
    "backup_key": lambda: secrets.token_hex(32),
    "device_key": lambda: secrets.token_hex(32),
    "couchdb_password": _password,
    **{f"couchdb_{user}_password": _password for user in COUCHDB_USERS},
    "influxdb_password": _password,
    "influxdb_token": lambda: secrets.token_urlsafe(48),
    "mirror_password": _password,
    "api_key": _api_key,
    "node_red_api_key": _api_key,
    "node_red_password": lambda: secrets.token_urlsafe(12),
    "node_red_secret": _password,
}


def demo_roles(kinds: Path) -> list[str]:
    """The roles that have a demo user: each kind of a file, gateway, service and app.

    Raises OSError, and ValueError where it is no table of kinds.
    """
    try:
        return [*(str(kind["id"]) for kind in json.loads(kinds.read_text())["kinds"]), "gateway", "service", "app"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"KINDS_FILE: {kinds} is no table of kinds: {error}") from error


def made(roles: Sequence[str]) -> Mapping[str, Callable[[], str]]:
    """How each value is made, by its name in `values.json`; with the passwords of the demo users of these roles."""
    return {**_MADE, **{f"demo_{role}_password": lambda: secrets.token_urlsafe(12) for role in roles}}


def values(folder: Path, roles: Sequence[str]) -> dict[str, str]:
    """The random values of this folder; those that are missing are made and kept, for root alone."""
    path = folder / VALUES
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    kept = {name: known[name] for name in (OLD_PASSWORD,) if name in known}
    complete = kept | {name: known.get(name) or make() for name, make in made(roles).items()}
    if complete != known:
        _write(path, json.dumps(complete, indent=2) + "\n", owner=(os.geteuid(), os.getegid()))
    return complete


def files(
    value: Mapping[str, str],
    roles: Sequence[str],
    *,
    demo: bool,
    redis_at: str = REDIS_AT,
    raw_redis_at: str = "",
    redis_version: str = DEFAULT_VERSION,
    privacy: str = "",
) -> dict[str, dict[str, str]]:
    """What each service is given: contents by file name, by service. A name in capitals is a variable there.

    `roles` are those of the demo users. `redis_at` is REDIS_URL without its user, `raw_redis_at` RAW_REDIS_URL, empty
    where there is none; `redis_version` is that of both. `privacy` is PRIVACY, empty where it is not set.
    """

    def redis_url(user: str) -> dict[str, str]:
        return {
            name: at.replace("://", f"://{user}:{value[redis_value(user)]}@", 1)
            for name, at in (("REDIS_URL", redis_at), (RAW_REDIS_URL, raw_redis_at))
            if at
        }

    def keys_url(user: str) -> dict[str, str]:
        return {"KEYS_REDIS_URL": KEYS_REDIS_AT.replace("://", f"://{user}:{value[redis_value(user)]}@", 1)}

    device_key = {"DEVICE_KEY": value["device_key"]}
    # InfluxDB makes the tokens of services itself: `python -m timeseries tokens` puts them beside these.
    influxdb = {"INFLUXDB_V2_TOKEN": value["influxdb_token"]}
    administrator = {"CLOUDANT_USERNAME": COUCHDB_ADMIN, "CLOUDANT_PASSWORD": value["couchdb_password"]}
    writer, reader, eraser = (
        {"CLOUDANT_USERNAME": user, "CLOUDANT_PASSWORD": value[f"couchdb_{user}_password"]} for user in COUCHDB_USERS
    )
    # The one may read presence, the other released counts alone.
    api_user = "api-open" if privacy in {"", "open"} else "api"
    api = {
        **redis_url(api_user),
        **keys_url("api"),
        **device_key,
        **eraser,
        "MIRROR_PASSWORD": value["mirror_password"],
    }
    demo_users = "".join(f"demo-{role},{role},{value[f'demo_{role}_password']}\n" for role in roles) if demo else ""
    return {
        "redis": {
            "users.acl": _redis_users(value, redis_version),
            # For the members of a cluster, and who makes it.
            "replication.conf": f"masteruser replica\nmasterauth {value['redis_replica_password']}\n",
            "cluster-password": value["redis_cluster_password"],
        },
        "redis-keys": {"users.acl": _keys_users(value, redis_version)},
        "broker": {**redis_url("broker"), **keys_url("broker")},
        "broker-next": {**redis_url("broker"), **keys_url("broker")},
        "users": {
            **redis_url("users-command"),
            "users.csv": f"{MIRROR_USER},service,{value['mirror_password']}\n{demo_users}",
        },
        "api-key": {**redis_url("keys-command"), "api-key": value["api_key"]},
        # By hand, as `users` and `api-key` are at each start: docker compose run --rm status.
        **{user: redis_url(user) for user in ("auditor", "status", "migrate")},
        "dead-letters": {**redis_url("dead-letters"), **keys_url("dead-letters")},
        "decoder": {**redis_url("decoder"), **keys_url("decoder"), **device_key, **writer},
        # KAFKA_PASSWORD, and the keys of a bucket for the lake, are put beside these by hand.
        "exporter": redis_url("decoder"),
        "analytics": reader,
        "api": api,
        "api-next": api,
        "backup": {**redis_url("backup"), **reader, "BACKUP_KEY": value["backup_key"]},
        # By hand; it writes all that Redis has, and asks which devices were erased since.
        "restore": {
            **redis_url("migrate"),
            **keys_url("migrate"),
            **device_key,
            **administrator,
            **influxdb,
            "BACKUP_KEY": value["backup_key"],
        },
        "autoscaler": redis_url("autoscaler"),
        "controller": redis_url("controller"),
        "couchdb": {"password": value["couchdb_password"]},
        # Who makes what the stores need, users and tokens too: administrators, and nobody else is told these.
        "documents-setup": {
            **administrator,
            **{f"COUCHDB_{user.upper()}_PASSWORD": value[f"couchdb_{user}_password"] for user in COUCHDB_USERS},
        },
        "timeseries-tokens": influxdb,
        "influxdb": {"password": value["influxdb_password"], "token": value["influxdb_token"]},
        "demo-history": {**device_key, **writer},
        "demo-judge": {**redis_url("decoder"), **reader},
        "demo": {"MQTT_PASSWORD": value["demo_gateway_password"]},
        "node-red-key": {**redis_url("keys-command"), "api-key": value["node_red_api_key"]},
        "apps": {"MQTT_PASSWORD": value["demo_app_password"]},
        "node-red": {
            "MQTT_PASSWORD": value["demo_gateway_password"],
            "API_KEY": value["node_red_api_key"],
            "NODE_RED_PASSWORD": value["node_red_password"],
            "NODE_RED_CREDENTIAL_SECRET": value["node_red_secret"],
        },
        # With the profile `observability`.
        "redis-exporter": {
            "passwords.json": json.dumps({"redis://exporter@redis:6379": value["redis_exporter_password"]}) + "\n"
        },
        "grafana": {"password": value["grafana_password"]},
        "people": {
            "demo-users.csv": demo_users,
            "api-key": value["api_key"],
            "grafana-password": value["grafana_password"],
        },
    }


def _redis_users(value: Mapping[str, str], version: str) -> str:
    found = acl({user: value[redis_value(user)] for user in users()}, version=version)
    if OLD_PASSWORD in value:
        # Whoever runs while this version comes still logs in as that; the next version leaves it out.
        old = hashlib.sha256(value[OLD_PASSWORD].encode()).hexdigest()
        found += f"user campus on #{old} ~* &* +@all -@admin -@dangerous +info +bgrewriteaof +config|get +keys\n"
    return found


def _keys_users(value: Mapping[str, str], version: str) -> str:
    return acl({user: value[redis_value(user)] for user in KEYS_USERS}, version=version)


def make(
    folder: Path,
    names: list[str],
    *,
    demo: bool,
    redis_at: str = REDIS_AT,
    raw_redis_at: str = "",
    keeper: str = "",
    redis_version: str = DEFAULT_VERSION,
    kinds: Path = KINDS,
    privacy: str = "",
) -> None:
    """Make what is missing in FOLDER; `names` are further host names of the certificate.

    `keeper` is the host of the keeper of faults, empty where there is none; `privacy` is PRIVACY, empty where unset.
    Needs root, to give files away. Raises OSError, ValueError for a table of kinds that is none, and CalledProcessError
    where the certificate could not be made.
    """
    person = folder.stat().st_uid, folder.stat().st_gid
    first = not (folder / VALUES).exists()
    roles = demo_roles(kinds)
    # Who may list the folder sees which services there are; what is in them is for each alone.
    folder.chmod(0o755)
    owners = {"redis": REDIS, "redis-keys": REDIS, "couchdb": COUCHDB, "influxdb": INFLUXDB, "grafana": GRAFANA}
    given = files(
        values(folder, roles),
        roles,
        demo=demo,
        redis_at=redis_at,
        raw_redis_at=raw_redis_at,
        redis_version=redis_version,
        privacy=privacy,
    )
    for service, contents in (through_keeper(given, keeper) if keeper else given).items():
        owner = person if service == "people" else (owners.get(service, OURS),) * 2
        own = _folder(folder / service, owner)
        for name, content in contents.items():
            _write(own / name, content, owner=owner)
        # What else lies there is the operator's: secrets of a service that has them from elsewhere.
        for name in (RAW_REDIS_URL, *_ONCE.get(service, ())):
            if name not in contents:
                (own / name).unlink(missing_ok=True)
    if first:
        _write(folder / "people" / FIRST_START, "", owner=person)
    certificates = _folder(folder / "haproxy", (HAPROXY, HAPROXY))
    # These two are among the names anyway.
    further = [name for name in names if name not in {"localhost", "haproxy"}]
    subprocess.run(  # noqa: S603 - our own script, and a name that the operator has set
        [_CERTIFICATE, "--owner", f"{HAPROXY}:{HAPROXY}", certificates, *further], check=True
    )
    if (certificates / "ca.pem").exists():
        _write(folder / "people" / "ca.pem", (certificates / "ca.pem").read_text(), owner=person)


def _folder(path: Path, owner: tuple[int, int]) -> Path:
    path.mkdir(exist_ok=True)
    path.chmod(0o700)
    os.chown(path, *owner)
    return path


def _write(path: Path, content: str, *, owner: tuple[int, int]) -> None:
    """Write a file for its owner alone, at once or not at all; one that is right already stays as it is."""
    if not path.exists() or path.read_text() != content:
        draft = path.with_name(f".{path.name}.new")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(content)
        draft.replace(path)
    path.chmod(0o400)
    os.chown(path, *owner)


def main(arguments: list[str]) -> int:
    """Exit code 0 where all is there now, 1 where it could not be made, 2 for a wrong call."""
    if not arguments or arguments[0].startswith("-"):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    folder = Path(arguments[0])
    before = (folder / VALUES).exists()
    try:
        make(
            folder,
            arguments[1:],
            demo=os.environ.get("DEMO_USERS", "true") == "true",
            redis_at=os.environ.get("REDIS_AT") or REDIS_AT,
            raw_redis_at=os.environ.get("RAW_REDIS_AT", ""),
            keeper=os.environ.get("FAULTS_KEEPER", ""),
            redis_version=version_for(os.environ.get("REDIS_VERSION") or DEFAULT_VERSION),
            kinds=Path(os.environ.get("KINDS_FILE") or KINDS),
            privacy=os.environ.get("PRIVACY", ""),
        )
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"the secrets could not be made in {folder}: {error}\n")
        return 1
    sys.stdout.write("secrets: there already\n" if before else "secrets: made now, for this installation alone\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
