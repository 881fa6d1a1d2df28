"""Make the secrets of the overlay `local`, once: `python -m deploy.k8s.make_secrets [FOLDER [HOST NAME...]]`.

FOLDER is deploy/k8s/credentials/local, whose kustomization makes Secrets of the files; git ignores them. They are those
of a compose run, with what only Kubernetes wants. What is there stays: remove `values.json` to have all of it made
anew. REDIS_AT is REDIS_URL without its user, for the overlay `local-cluster`; REDIS_VERSION is 7.2 unless another is
given (6.2, 7.0). PRIVACY is that of the services: unless it is open, the API may not read presence. Needs
`openssl`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from deploy.access.acl import DEFAULT_VERSION, version_for
from deploy.compose.make_secrets import COUCHDB_ADMIN, KINDS, REDIS_AT, demo_roles, files, redis_value, values

HERE = Path(__file__).resolve().parent
DEFAULT_FOLDER = HERE / "credentials" / "local"
_CERTIFICATE = HERE.parents[1] / "haproxy" / "certificate"
_PEM = re.compile(r"-----BEGIN (?P<what>[A-Z ]+)-----.*?-----END (?P=what)-----\n", re.DOTALL)


def contents(
    value: dict[str, str],
    roles: list[str],
    *,
    redis_at: str = REDIS_AT,
    redis_version: str = DEFAULT_VERSION,
    privacy: str = "protected",
) -> dict[str, dict[str, str]]:
    """What each Secret holds, by file name; `value` as compose makes them, `redis_at` is REDIS_URL without its user."""
    made = files(value, roles, demo=True, redis_at=redis_at, redis_version=redis_version, privacy=privacy)
    for name in ("decoder", "api", "backup"):
        made[name]["INFLUXDB_V2_TOKEN"] = value["influxdb_token"]
    return {
        **{
            name: made[name]
            for name in (
                *("broker", "decoder", "api", "controller", "users", "api-key", "backup", "redis", "redis-keys"),
                *("documents-setup", "influxdb", "auditor", "dead-letters", "status", "migrate", "restore"),
            )
        },
        "couchdb": {"admins.ini": f"[admins]\n{COUCHDB_ADMIN} = {value['couchdb_password']}\n"},
        # For `helm test`, whose device is that user's.
        "smoke": {"MQTT_PASSWORD": value["demo_car_password"]},
        # Its operator is in another namespace, where `redis` alone is no name.
        "keda": {
            "address": "redis.campus.svc.cluster.local:6379",
            "username": "keda",
            "password": value[redis_value("keda")],
            "tls": "disable",
            "ca": "",
        },
    }


def make(folder: Path, names: list[str]) -> None:
    """Make what is missing in `folder`; `names` are further host names of the certificate.

    Raises OSError, or subprocess.CalledProcessError where there can be no certificate.
    """
    folder.mkdir(parents=True, exist_ok=True)
    roles = demo_roles(Path(os.environ.get("KINDS_FILE") or KINDS))
    given = contents(
        values(folder, roles),
        roles,
        redis_at=os.environ.get("REDIS_AT") or REDIS_AT,
        redis_version=version_for(os.environ.get("REDIS_VERSION") or DEFAULT_VERSION),
        privacy=os.environ.get("PRIVACY") or "protected",
    )
    for secret, held in given.items():
        for name, content in held.items():
            _write(folder / secret / name, content)
    subprocess.run([_CERTIFICATE, folder / "haproxy", *names], check=True)  # noqa: S603 - ours
    certificate = (folder / "haproxy" / "server.pem").read_text()
    parts = list(_PEM.finditer(certificate))
    _write(folder / "haproxy" / "tls.crt", "".join(part[0] for part in parts if "KEY" not in part["what"]))
    _write(folder / "haproxy" / "tls.key", "".join(part[0] for part in parts if "KEY" in part["what"]))


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(content)


def main(arguments: list[str]) -> int:
    """Exit code 0 where all is there now, 1 where it could not be made, 2 for a wrong call."""
    if arguments and arguments[0].startswith("-"):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    folder = Path(arguments[0]) if arguments else DEFAULT_FOLDER
    try:
        make(folder, arguments[1:])
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"the secrets could not be made in {folder}: {error}\n")
        return 1
    sys.stdout.write(f"{folder}: the secrets are there; kubectl apply -k {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
