"""(e) Mosquitto, and a subscriber that lets PostGIS fence and keep."""

import asyncio
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from bench.broker.peers import MOSQUITTO
from bench.cpu import tree
from bench.pipelines.parts import Part
from bench.pipelines.peers import BrokerAndSubscriber
from bench.pipelines.pipeline import Place
from bench.pipelines.psql import USER, Psql
from geofence.campus import DEFAULT_CAMPUS

PACKAGE = "postgresql-15-postgis-3"
OWNER = "postgres"
"""The user that the server runs as where we are root, whom it refuses."""


class PostGis(BrokerAndSubscriber):
    """The store fences, by a rule in SQL, and so its CPU and memory count."""

    def __init__(self) -> None:
        super().__init__(
            "(e) Mosquitto + PostGIS",
            MOSQUITTO,
            "bench/pipelines/postgis_subscriber.py: a persistent session at QoS 1; a batch of up to 200 is one INSERT"
            " with ST_Intersects over an index, through one psql that stays open. PostgreSQL with its defaults: what is"
            " committed is on the disk.",
        )
        self._bin = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
        self._server: Part | None = None
        self._psql: Psql | None = None

    def missing(self) -> str | None:
        """PostGIS itself."""
        as_root = not os.geteuid()
        there = self._bin and self._control() and shutil.which("psql") and (not as_root or shutil.which("setpriv"))
        return super().missing() or (None if there else f"not installed: Debian's {PACKAGE}")

    def _control(self) -> Path | None:
        version = self._bin.parent.name if self._bin else ""
        return next(Path(f"/usr/share/postgresql/{version}/extension").glob("postgis.control"), None)

    def versions(self) -> dict[str, str]:
        """Of PostGIS and PostgreSQL, too."""
        control, folder = self._control(), self._bin
        told = control.read_text(encoding="utf-8") if control else ""
        found = re.search(r"default_version = '([^']+)'", told)
        return super().versions() | {
            "PostgreSQL": folder.parent.name if folder else "",
            "PostGIS": found[1] if found else "",
        }

    def parts(self, place: Place) -> Sequence[Part]:
        """The server first; the consumer waits for it, and makes its tables."""
        if self._bin is None:
            raise RuntimeError(f"not installed: Debian's {PACKAGE}")
        home = place.folder / OWNER
        home.mkdir()
        as_owner: list[str] = []
        if not os.geteuid():
            owner = pwd.getpwnam(OWNER)
            os.chown(home, owner.pw_uid, owner.pw_gid)
            as_owner = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
        data = home / "data"
        initdb = [str(self._bin / "initdb"), "--auth=trust", f"--username={USER}", "--encoding=UTF8", str(data)]
        subprocess.run([*as_owner, *initdb], check=True, capture_output=True, cwd=home)  # noqa: S603 - of Debian
        server = [str(self._bin / "postgres"), "-D", str(data), "-k", str(home), "-c", "listen_addresses="]
        self._psql = Psql(home)
        self._server = Part(
            "PostGIS", [*as_owner, *server], log=place.folder / "postgres.log", killed_by=signal.SIGQUIT
        )
        broker, consumer = super().parts(place)
        return [self._server, broker, consumer]

    def consumer(self, place: Place) -> Part:
        """In Python."""
        arguments = [str(self.port), str(place.folder / OWNER), str(DEFAULT_CAMPUS)]
        return self._consumer([sys.executable, "-m", "bench.pipelines.postgis_subscriber", *arguments], place)

    async def stored(self, client: httpx.AsyncClient, place: Place) -> int:  # noqa: ARG002 - it has a store of its own
        """Rows of its table."""
        if self._psql is None:
            return 0
        return int(await asyncio.to_thread(self._psql.ask, "SELECT count(*) FROM positions;"))

    def stop_store(self, place: Place) -> None:  # noqa: ARG002 - likewise
        """All processes of the server."""
        self._signal(signal.SIGSTOP)

    def start_store(self, place: Place) -> None:  # noqa: ARG002 - likewise
        """The end of it."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """The psql that counts."""
        if self._psql is not None:
            self._psql.close()

    def _signal(self, which: signal.Signals) -> None:
        if self._server and self._server.process:
            for pid in tree(self._server.process.pid):
                os.kill(pid, which)
