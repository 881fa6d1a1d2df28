"""`make restore-drill`: a whole system is saved, destroyed, and restored elsewhere; then it is what it was."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from backup.catalogue import Catalogue
from backup.manifest import What
from backup.place import open_place
from backup.settings import BackupPlaceSettings
from core.clock import system_clock
from tests.backup.conftest import bucket
from tests.conftest import missing, redis_executable
from tests.couchdb.double import CouchDouble, is_there
from tests.e2e.system import BUS, ROOT, System, start, wait_for
from tests.influxd.server import InfluxServer, influxd_executable
from tests.redis_servers.process import RedisProcess, free_ports

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
DEVICE_KEY = "cd" * 32
BACKUP_KEY = "ef" * 32
ERASED = "phone-erased-later"
PATIENCE = 180.0
"""Seconds that a command may take to begin."""


@dataclass
class Stores:
    """What a system keeps its data in, beside DATA_DIR."""

    redis: RedisProcess
    settings: dict[str, str]
    """That lead to all of them."""


class Site:
    """A place where a system may be: stores of its own, which can be destroyed."""

    def __init__(self, folder: Path, kind: str, backups: dict[str, str]) -> None:
        self.folder = folder
        self._resources = ExitStack()
        self.redis = RedisProcess(
            redis_executable(),
            folder / "redis",
            free_ports(1)[0],
            "--appendonly",
            "yes",
            "--repl-diskless-sync-delay",
            "0",
        )
        self.redis.start()
        self._resources.callback(self.redis.kill)
        self.settings = {
            **backups,
            "BACKUP_KEY": BACKUP_KEY,
            "DEVICE_KEY": DEVICE_KEY,
            "DATA_DIR": str(folder / "data"),
            "REDIS_URL": f"redis://{self.redis.address}",
            **(self._servers() if kind == "servers" else {}),
        }

    def _servers(self) -> dict[str, str]:
        if not is_there():
            missing("the double of CouchDB", "install Node.js, then: npm ci --prefix tests/node")
        executable = influxd_executable()
        if executable is None:
            missing("influxd", "make influxd builds it (Go, Rust), or INFLUXD names one of version 2.7")
        couch = self._resources.enter_context(CouchDouble())
        (self.folder / "influxd").mkdir()
        influx = InfluxServer(executable, self.folder / "influxd")
        influx.start()
        self._resources.callback(influx.kill)
        return {
            **couch.environment,
            **influx.environment,
            "DOCUMENT_STORE": "cloudant",
            "CLOUDANT_DATABASE": f"drill-{uuid.uuid4().hex}",
        }

    def backup(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """`python -m backup`, which finds its settings in the environment."""
        return subprocess.run(
            [sys.executable, "-m", "backup", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.settings, **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
            stdin=subprocess.DEVNULL,
        )

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """The same, to be killed."""
        return subprocess.Popen(
            [sys.executable, "-m", "backup", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def system(self, **settings: str) -> System:
        """Started as a user starts it; on another site other ports, and other files."""
        own = {name: value for name, value in self.settings.items() if name != "DATA_DIR"}
        return start(Path(self.settings["DATA_DIR"]), **{**own, **settings})

    def destroy(self) -> None:
        """All that it has is gone."""
        self._resources.close()
        shutil.rmtree(self.folder)


@pytest.fixture(params=["embedded stores, a folder", "servers, a bucket"])
def sites(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Site, Site]]:
    """Two places, of which the second is empty; both know the same backups."""
    with ExitStack() as resources:
        if "bucket" in request.param:
            backups = resources.enter_context(bucket("campus-backups"))
        else:
            backups = {"BACKUP_URL": f"file://{tmp_path}/backups"}
        found = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            found.append(Site(tmp_path / name, "servers" if "servers" in request.param else "embedded", backups))
        yield found[0], found[1]
        for site in found:
            if site.folder.exists():
                site.destroy()


def traffic(system: System) -> None:
    """A recorded bus, and a phone that will be erased."""
    replayed = system.run("simulator", "replay", str(BUS), "--kind", "car", "--speed", "max")
    assert "sent 2144, acknowledged 2144" in replayed.stdout, replayed.stderr
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [-8.5722, 52.6738]},
            "properties": {"device_id": ERASED, "timestamp": f"2019-02-18T09:0{minute}:00Z", "accuracy": 5},
        }
        for minute in range(4)
    ]
    answer = httpx.post(
        f"{system.url}/v1/positions?kind=mobile",
        json={"type": "FeatureCollection", "features": features},
        headers=key_of(system),
    )
    assert answer.is_success, answer.text
    system.wait_until_done(limit=90)


def key_of(system: System) -> dict[str, str]:
    return {"Authorization": f"Bearer {(system.data_dir / 'demo-api-key').read_text().strip()}"}


def documents(system: System) -> list[str]:
    return sorted(system.run("documents", "export", "-").stdout.splitlines())


def series(system: System) -> list[tuple[str, str, str, list[object]]]:
    """What the API says of that hour, of some zones; all of them are compared in test_restored_work.py."""
    hour = {"start": "2019-02-18T08:30:00Z", "end": "2019-02-18T09:30:00Z"}

    def history(zone: str, kind: str, window: str) -> httpx.Response | None:
        answer = system.get(f"/v1/zones/{zone}/occupancy/history", kind=kind, window=window, **hour)
        return answer if answer.status_code == httpx.codes.OK else None

    return [
        (zone, kind, window, wait_for(lambda: history(zone, kind, window), "an answer").json()["points"])  # noqa: B023 - called at once
        for zone in ("campus", "car-park-west")
        for kind, window in (("car", "1m"), ("car", "1h"), ("mobile", "5m"))
    ]


def totals(system: System) -> dict[str, int]:
    return {name: system.total(name) for name in ("messages", "outside", "positions")}


def test_a_drill_brings_back_all_but_who_was_erased_since(sites: tuple[Site, Site], tmp_path: Path) -> None:
    first, second = sites
    system = first.system()
    try:
        traffic(system)
        before = documents(system), series(system), totals(system)
        counted = {(zone, kind, window) for zone, kind, window, points in before[1] if points}
        assert counted >= {("campus", "car", "1m"), ("campus", "car", "1h"), ("campus", "mobile", "5m")}
        key = key_of(system)
        demo_users = (system.data_dir / "demo-users.csv").read_text()
        # While it runs.
        saved = first.backup("save")
        assert saved.returncode == 0, saved.stderr
        listed = first.backup("list")
        assert [listed.stdout.count(what) for what in ("redis ", "documents ", "series ")] == [1, 1, 1]
        # After the backup somebody asks to be forgotten.
        gone = httpx.delete(f"{system.url}/v1/devices/{ERASED}/positions", headers=key, timeout=60)
        assert gone.json()["documents"] == 4, gone.text
        without = documents(system)
        assert len(without) == len(before[0]) - 4
    finally:
        system.stop()
    first.destroy()
    erased = tmp_path / "erased.txt"
    erased.write_text(f"{ERASED}\n\n")

    asked = second.backup("restore")
    assert asked.returncode == 2
    assert "Which devices were erased since 20" in asked.stderr
    killed_in_the_middle(second, erased)
    restored = second.backup("restore", "--erased", str(erased))
    assert restored.returncode == 0, restored.stderr
    assert "1 devices were erased again: 4 documents are not there" in restored.stdout
    assert "The restore is complete: services may be started." in restored.stdout

    # The API key and the users are those of the first; `make run` finds their secrets in DATA_DIR.
    (second.folder / "data").mkdir(exist_ok=True)
    (second.folder / "data" / "demo-api-key").write_text(key["Authorization"].removeprefix("Bearer "))
    (second.folder / "data" / "demo-users.csv").write_text(demo_users)
    system = second.system()
    try:
        repeated = second.backup("erase", str(erased), "--api", system.url, API_KEY=key["Authorization"][7:])
        assert repeated.returncode == 0, repeated.stderr
        assert documents(system) == without
        assert series(system) == before[1]
        assert totals(system) == before[2]
        # What comes again changes nothing: Redis knows it.
        replayed = system.run("simulator", "replay", str(BUS), "--kind", "car", "--speed", "max")
        assert "sent 2144, acknowledged 2144" in replayed.stdout, replayed.stderr
        system.wait_until_done(limit=90)
        assert documents(system) == without
        assert series(system) == before[1]
    finally:
        system.stop()


def killed_in_the_middle(site: Site, erased: Path) -> None:
    """A restore that is killed leaves a Redis on which nothing starts."""
    process = site.begin("restore", "--erased", str(erased))
    wait_for(lambda: site.redis.command("HGET", "layout:{campus}", "restoring"), "the restore has begun", PATIENCE)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert site.redis.command("HGET", "layout:{campus}", "restoring")
    refused = subprocess.run(
        [sys.executable, "-m", "broker"],
        cwd=ROOT,
        env={**os.environ, **site.settings, "BROKER_PORT": str(free_ports(1)[0])},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert refused.returncode == 2
    assert "run `python -m backup restore` again" in refused.stdout + refused.stderr


def test_a_drill_of_a_save_that_is_killed_leaves_no_backup(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site", "embedded", {"BACKUP_URL": f"file://{tmp_path}/backups"})
    try:
        with site.redis.client() as client:
            for number in range(2):
                client.set(f"noise:{number}", os.urandom(20_000_000))
        # Microseconds: it rests behind the first of them, so that the save cannot end before it is killed.
        site.redis.command("CONFIG", "SET", "rdb-key-save-delay", "900000000")
        process = site.begin("save", "redis")
        there = tmp_path / "backups"
        wait_for(lambda: list(there.rglob("main-0*")), "something is written", PATIENCE)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert [path.name for path in there.rglob("*") if path.is_file()] == ["main-0#1"]
        listed = site.backup("list")
        assert listed.returncode == 1
        assert listed.stderr.strip() == "there is no backup yet: python -m backup save"
        assert site.backup("restore", "redis", "--nobody-erased").stderr.strip() == (
            f"there is no backup of redis in the folder {there}"
        )
        # Redis is as well as before, and the next one is whole.
        site.redis.command("CONFIG", "SET", "rdb-key-save-delay", "0")
        saved = site.backup("save", "redis")
        assert saved.returncode == 0, saved.stderr
        assert "redis: 2 records in 1 parts, 1 of them anew" in saved.stdout
        assert site.backup("restore", "redis", "--check").returncode == 0
        # Saves of the day after remove what was left.
        catalogue = Catalogue(
            open_place(BackupPlaceSettings(backup_url=f"file://{there}", backup_key=BACKUP_KEY)),
            bytes.fromhex(BACKUP_KEY),
        )
        tidied = asyncio.run(catalogue.tidy(What.REDIS, now=system_clock() + 100_000_000, keep_days=30))
        assert (tidied.removed, tidied.objects) == (0, 1)
        assert sorted(path.name for path in there.rglob("*") if path.is_file()) == ["main-0", "manifest"]
        assert len(list((there / "redis").iterdir())) == 1
    finally:
        site.destroy()


def test_nothing_secret_of_a_drill_is_readable_in_a_backup(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site", "embedded", {"BACKUP_URL": f"file://{tmp_path}/backups"})
    try:
        with site.redis.client() as client:
            client.set("raw", json.dumps({"device_id": ERASED}))
        assert site.backup("save", "redis").returncode == 0
        stored = b"".join(path.read_bytes() for path in (tmp_path / "backups").rglob("*") if path.is_file())
        assert stored.count(b"CAMPBAK\x01") == 2
        for secret in (ERASED, DEVICE_KEY, BACKUP_KEY, "device_id"):
            assert secret.encode() not in stored
            if len(secret) == 64:
                assert bytes.fromhex(secret) not in stored
    finally:
        site.destroy()
