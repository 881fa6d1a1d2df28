"""Mosquitto."""

import re
import shutil
import subprocess
from collections.abc import Sequence

from bench.broker.connection import HOST
from bench.broker.peers.peer import Peer, Place

MOSQUITTO = "Mosquitto"
MOSQUITTO_KEPT = "Mosquitto, kept"


def mosquitto() -> list[Peer]:
    """In memory alone, and with its file and a session that waits for all messages."""
    return [
        _peer(MOSQUITTO, "allow_anonymous, log_type error; persistence is off, as in its defaults: it keeps nothing."),
        _peer(
            MOSQUITTO_KEPT,
            "persistence true, autosave_interval 1: its file is written once a second at the most, after messages were"
            " acknowledged. max_queued_messages 0, so that the persistent session that waits for all loses none.",
            "persistence true\nautosave_interval 1\nmax_queued_messages 0\n",
        ),
    ]


def _peer(name: str, configuration: str, persistence: str = "") -> Peer:
    # Debian puts it where only root's PATH leads.
    executable = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")

    def command(place: Place) -> Sequence[str]:
        config = place.folder / f"mosquitto-{place.number}.conf"
        kept = place.folder / f"mosquitto-{place.number}"
        kept.mkdir(exist_ok=True)
        # It reads and writes as a user of its own.
        kept.chmod(0o777)
        location = f"persistence_location {kept}/\n" if persistence else ""
        config.write_text(
            f"listener {place.port} {HOST}\nlistener {place.websocket_port} {HOST}\nprotocol websockets\n"
            f"allow_anonymous true\nlog_type error\n{persistence}{location}",
            encoding="utf-8",
        )
        return [str(executable), "-c", str(config)]

    return Peer(
        name=name,
        command=command,
        version=_version(executable) if executable else "",
        configuration=configuration,
        missing=None if executable else "not installed: Debian's mosquitto",
        redis=None,
        shares=False,
        websocket=True,
        keeps=bool(persistence),
    )


def _version(executable: str) -> str:
    told = subprocess.run([executable, "-h"], capture_output=True, text=True, check=False)  # noqa: S603 - from the PATH
    found = re.search(r"version (\S+)", told.stdout)
    return found[1] if found else ""
