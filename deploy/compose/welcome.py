"""Say where everything is, once it is there; passwords at the first start alone. The standard library suffices."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

FIRST_START = "first-start"
"""A file beside those for people, from when the secrets are made until they were shown."""


def welcome(folder: Path, environment: Mapping[str, str], *, show: bool) -> str:
    """What people need to know; `folder` holds what of the secrets is for people.

    Passwords and the key are told as long as FIRST_START is there, and only where they are to be shown: on a terminal.
    Docker keeps what a container says, and others collect it.
    """
    host = environment.get("PUBLIC_HOST") or "localhost"
    known_as = f"{environment.get('SECRETS_FOLDER') or './secrets'}/people"

    def port(name: str, default: int) -> str:
        return environment.get(name) or str(default)

    lines = [
        "",
        "The campus is ready.",
        f"  live map  http://{host}:{port('HTTP_PORT', 8080)}/   https://{host}:{port('HTTPS_PORT', 8443)}/",
        f"  REST      http://{host}:{port('HTTP_PORT', 8080)}/docs",
        f"  MQTT      mqtt://{host}:{port('MQTT_PORT', 1883)}   mqtts://{host}:{port('MQTTS_PORT', 8883)}",
        f"            ws://{host}:{port('HTTP_PORT', 8080)}/mqtt   wss://{host}:{port('HTTPS_PORT', 8443)}/mqtt",
        f"  HAProxy   http://localhost:{port('HAPROXY_OPS_PORT', 8404)}/stats",
        f"  TLS       for trying out: clients trust the certificate by {known_as}/ca.pem",
    ]
    first = (folder / FIRST_START).exists()
    if first and not show:
        lines += [f"Made for this installation: demo users and an API key of an administrator, in {known_as}."]
    elif first:
        users = [line.split(",") for line in (folder / "demo-users.csv").read_text().splitlines()]
        width = max((len(name) for name, _, _ in users), default=0)
        lines += ["Made for this installation, and shown this once:"]
        lines += [f"  {name:{width}}  {password}" for name, _, password in users]
        lines += [f"  API key of an administrator  {(folder / 'api-key').read_text().strip()}"]
    return "\n".join([*lines, f"Demo users and the API key are in {known_as}, which only you can read.", ""])


if __name__ == "__main__":
    people = Path(sys.argv[1])
    sys.stdout.write(welcome(people, os.environ, show=sys.stdout.isatty()) + "\n")
    (people / FIRST_START).unlink(missing_ok=True)
