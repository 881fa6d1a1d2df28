"""Whatever is away, or answers nonsense: every command says so in one sentence, with exit code 1."""

import asyncio
import os
import re
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from backup.catalogue import Catalogue
from backup.manifest import Manifest, What
from backup.place import open_place
from backup.settings import BackupPlaceSettings
from tests.conftest import NOON

ROOT = Path(__file__).resolve().parents[2]
TRACK = (
    '<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>'
    '<trkpt lat="52.67" lon="-8.57"><time>2026-11-01T00:00:00Z</time></trkpt></trkseg></trk></gpx>'
)
LINE = '{"at":1,"device":"d","kind":"car","zones":["campus"],"longitude":-8.57,"latitude":52.67}'
RANGE = ("--start", "2026-11-01T00:00:00Z", "--end", "2026-11-01T01:00:00Z")
OF_REDIS = {
    "state status": "state status",
    "users list": "broker users list",
    "users add": "broker users add car-7 --role car",
    "users remove": "broker users remove car-7",
    "users import": "broker users import {users}",
    "keys list": "api keys list",
    "keys add": "api keys add --scope admin",
    "keys import": "api keys import {key} --scope admin",
    "keys remove": "api keys remove 5f0c3a1be2d94c77",
    "audit": "api audit",
    "dead letters": "decoder dead-letters",
    "dead letters list": "decoder dead-letters list --json",
    "dead letters explain": "decoder dead-letters explain",
    "dead letters show": "decoder dead-letters show 1-0",
    "dead letters replay": "decoder dead-letters replay --all",
    "dead letters drop": "decoder dead-letters drop --all --yes",
}
OF_KEYS = {
    "device keys list": "decoder keys list",
    "device keys rotate": "decoder keys rotate",
}
OF_BACKUPS = {
    "backup save redis": "backup save redis",
    "backup save documents": "backup save documents",
    "backup save series": "backup save series",
    "backup restore": "backup restore redis --nobody-erased --over",
}
OF_DOCUMENTS = {
    "documents setup": "documents setup",
    "documents count": "documents count",
    "documents export": "documents export",
    "documents export to a file": "documents export {out}",
    "documents export of a device": "documents export --device bus-304",
    "documents find": "documents find --zone kemmy",
    "documents retention": "documents retention --keep 90d",
    "analytics export": "analytics export --start 2026-11-01 --end 2026-11-02",
}
OF_SERIES = {
    "timeseries setup": "timeseries setup",
    "timeseries tokens": "timeseries tokens writer={out} public={out}",
    "timeseries history": "timeseries history campus car",
    "timeseries drop": "timeseries drop --zone campus --kind car --yes",
    "analytics backtest": "analytics backtest",
    "backfill": "backfill",
    "backfill seed": "backfill seed {lines}",
}
OF_THE_SYSTEM = {
    "replay": "simulator replay {track}.gpx",
    "misbehave": "simulator misbehave --port PORT --api http://127.0.0.1:PORT",
    "smoke": "deploy.smoke --mqtt mqtt://127.0.0.1:PORT --api http://127.0.0.1:PORT --limit 1",
    "autoscaler": "autoscaler --once",
}
WITH_RANGE = ("documents find", "timeseries history", "timeseries drop", "backfill")
WRONG_FOR_REDIS = ["away", "nothing", "no HTTP", "500", "-ERR", "-MISCONF", "-WRONGTYPE", "another type"]
WRONG_FOR_HTTP = [
    "away",
    "nothing",
    "no HTTP",
    "half an answer",
    "500",
    "400",
    "403",
    "a page",
    "json of another shape",
]
MAY_BE_BELIEVED = ("another type", "json of another shape", "a page")
"""What a server may say of an empty store: a command may take it for an answer, but not end in a traceback."""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CLOUDANT_AUTH_TYPE", "NOAUTH")
    monkeypatch.setenv("INFLUXDB_V2_ORG", "campus")
    monkeypatch.setenv("INFLUXDB_V2_TOKEN", "token")


@dataclass
class Commands:
    """Runs commands as `python -m` does, in this process."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]

    def fails(self, line: str, *, believed: bool = False) -> None:
        """Run a command that must fail with one sentence, unless its server may be `believed`."""
        files = {name: self.folder / name for name in ("users", "key", "track", "out", "lines")}
        files["users"].write_text("car-7,car,secret-secret\n")
        files["key"].write_text(f"ck_0123456789abcdef_{'A' * 43}\n")
        files["lines"].write_text(LINE)
        files["track"].with_suffix(".gpx").write_text(TRACK)
        module, *arguments = line.format(**files).split()
        self.monkeypatch.setattr(sys, "argv", ["-", *arguments])
        # Where the process would end at once.
        self.monkeypatch.setattr(os, "_exit", sys.exit)
        # As if nobody had imported it, as another test may have.
        self.monkeypatch.delitem(sys.modules, f"{module}.__main__", raising=False)
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        said = self.capfd.readouterr()
        assert "Traceback" not in said.out + said.err
        if not believed or ended.value.code:
            assert ended.value.code in {1, 2}, said
            # 2 where a setting is named, as after "forbidden".
            assert ended.value.code == 1 or re.match(r"[A-Z][A-Z0-9_]+[:, ]", said.err), said
            assert len(said.err.strip().splitlines()) == 1, said.err


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, monkeypatch, capfd)


@pytest.mark.parametrize("port", WRONG_FOR_REDIS, indirect=True)
@pytest.mark.parametrize("command", OF_REDIS)
def test_redis(
    command: str, port: int, commands: Commands, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{port}")
    commands.fails(OF_REDIS[command], believed=said_by(request) in MAY_BE_BELIEVED)


@pytest.mark.parametrize("port", WRONG_FOR_REDIS, indirect=True)
@pytest.mark.parametrize("command", OF_KEYS)
def test_the_redis_of_keys(
    command: str, port: int, commands: Commands, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("KEYS_REDIS_URL", f"redis://127.0.0.1:{port}")
    monkeypatch.setenv("DEVICE_KEY_ROTATION", "week")
    commands.fails(OF_KEYS[command], believed=said_by(request) in MAY_BE_BELIEVED)


@pytest.fixture
def backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of backups with an empty one of Redis in it; stores are not waited for."""
    key = "ab" * 32
    monkeypatch.setenv("BACKUP_URL", f"file://{tmp_path}/backups")
    monkeypatch.setenv("BACKUP_KEY", key)
    monkeypatch.setattr("backup.waiting.ATTEMPTS", 1)
    place = open_place(BackupPlaceSettings(backup_url=f"file://{tmp_path}/backups", backup_key=key))
    empty = Manifest(what=What.REDIS, id="20260301T120000Z-0001", begun_at=NOON, ended_at=NOON, parts=())
    asyncio.run(Catalogue(place, bytes.fromhex(key)).write(empty))


@pytest.mark.usefixtures("backups")
@pytest.mark.parametrize("port", WRONG_FOR_REDIS, indirect=True)
@pytest.mark.parametrize("command", OF_BACKUPS)
def test_redis_of_a_backup(
    command: str, port: int, commands: Commands, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{port}")
    commands.fails(OF_BACKUPS[command], believed=said_by(request) in MAY_BE_BELIEVED)


def test_no_command_is_forgotten() -> None:
    """Each package with commands is asked for something."""
    lines = (OF_REDIS | OF_BACKUPS | OF_DOCUMENTS | OF_SERIES | OF_THE_SYSTEM).values()
    with_commands = {path.parent.name for path in ROOT.glob("*/__main__.py") if "Typer(" in path.read_text()}
    asked = {line.split()[0].partition(".")[0] for line in lines}
    # Campuses come from files alone; services have their tests where they are, and so has the maker of applications.
    assert with_commands - asked == {"apps", "controller", "geofence"}


@pytest.mark.parametrize("port", WRONG_FOR_HTTP, indirect=True)
@pytest.mark.parametrize("command", OF_DOCUMENTS | OF_SERIES)
def test_a_store(
    command: str, port: int, commands: Commands, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("DOCUMENT_STORE", "cloudant")
    monkeypatch.setenv("CLOUDANT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("TIMESERIES_STORE", "influxdb")
    monkeypatch.setenv("INFLUXDB_V2_URL", f"http://127.0.0.1:{port}")
    line = (OF_DOCUMENTS | OF_SERIES)[command]
    commands.fails(
        " ".join([line, *RANGE]) if command in WITH_RANGE else line, believed=said_by(request) in MAY_BE_BELIEVED
    )


@pytest.mark.parametrize("port", ["away", "nothing"], indirect=True)
@pytest.mark.parametrize("command", OF_THE_SYSTEM)
def test_the_system_itself(command: str, port: int, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MQTT_PORT", "HTTP_PORT"):
        monkeypatch.setenv(name, str(port))
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{port}")
    commands.fails(OF_THE_SYSTEM[command].replace("PORT", str(port)))


def said_by(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["port"])
