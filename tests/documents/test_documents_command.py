import asyncio
import io
import json
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from documents import DocumentSettings, document_id, open_store
from documents.__main__ import _export, app
from runtime.devices import DeviceHasher
from runtime.epochs import Rotation
from runtime.settings import CommonSettings
from state.client import open_redis
from state.device_keys import DeviceKeys
from state.sources import Sources
from tests.conftest import NOON
from tests.documents.positions import position
from tests.kinds_of_tests import CAR, MOBILE

runner = CliRunner()


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DOCUMENT_STORE", "sqlite")
    return tmp_path / "data"


@pytest.fixture
def three_positions() -> None:
    async def put() -> None:
        async with open_store(DocumentSettings()) as store:
            await store.setup()
            await store.put([position(number) for number in (2, 0, 1)])

    asyncio.run(put())


def test_setup_makes_the_store_and_may_be_repeated(data_dir: Path) -> None:
    assert runner.invoke(app, ["setup"]).exit_code == 0
    assert (data_dir / "documents.sqlite3").exists()
    assert runner.invoke(app, ["setup"]).exit_code == 0


@pytest.mark.usefixtures("three_positions")
def test_count_prints_how_many_there_are() -> None:
    result = runner.invoke(app, ["count"])

    assert (result.exit_code, result.stdout) == (0, "3\n")


@pytest.mark.usefixtures("three_positions")
def test_export_writes_one_geojson_feature_a_line_that_only_its_owner_may_read(tmp_path: Path) -> None:
    file = tmp_path / "positions.geojsonl"
    file.write_text("an older export, readable for all")
    file.chmod(0o644)

    result = runner.invoke(app, ["export", str(file)])

    assert (result.exit_code, result.stdout) == (0, "")
    assert "3 positions" in result.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    features = [json.loads(line) for line in file.read_text().splitlines()]
    assert [feature["id"] for feature in features] == [document_id(position(number)) for number in range(3)]
    assert features[0]["type"] == "Feature"
    assert features[0]["geometry"] == {"type": "Point", "coordinates": [-8.5701, 52.6741]}
    assert "_id" not in features[0]


@pytest.mark.usefixtures("three_positions")
def test_export_to_standard_output_prints_the_features_and_nothing_else() -> None:
    for arguments in (["export"], ["export", "-"]):
        result = runner.invoke(app, arguments)

        assert result.exit_code == 0
        assert [json.loads(line)["type"] for line in result.stdout.splitlines()] == ["Feature"] * 3
        assert result.stderr == ""


@pytest.mark.usefixtures("three_positions")
async def test_the_progress_bar_reaches_its_end() -> None:
    out = io.BytesIO()
    async with open_store(DocumentSettings()) as store:
        assert await _export(store, out, progress=True) == 3

    assert out.getvalue().count(b"\n") == 3


def test_an_export_that_fails_leaves_no_file(tmp_path: Path, data_dir: Path) -> None:
    data_dir.write_text("a file where the folder should be")
    file = tmp_path / "positions.geojsonl"

    result = runner.invoke(app, ["export", str(file)])

    assert result.exit_code == 1
    assert "cannot be used" in result.stderr
    assert list(tmp_path.iterdir()) == [data_dir]


@pytest.mark.usefixtures("three_positions")
def test_an_export_into_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    result = runner.invoke(app, ["export", str(tmp_path / "nowhere" / "positions.geojsonl")])

    assert result.exit_code == 1
    assert "No such file" in result.stderr


def test_a_setting_that_is_wrong_is_named_and_the_exit_code_is_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCUMENT_STORE", "cloudant")
    monkeypatch.delenv("CLOUDANT_URL", raising=False)

    result = runner.invoke(app, ["count"])

    assert result.exit_code == 2
    assert "CLOUDANT_URL" in result.stderr


def test_the_help_says_whose_data_these_are() -> None:
    result = runner.invoke(app, ["export", "--help"])

    assert "personal data" in result.stdout


def test_the_sdk_of_cloudant_is_not_loaded_where_it_is_not_used() -> None:
    check = "import sys, documents.__main__; sys.exit('ibmcloudant' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", check], cwd=Path(__file__).parents[2], check=False).returncode == 0


@pytest.mark.usefixtures("three_positions")
def test_find_prints_the_newest_first_and_as_many_as_were_asked_for() -> None:
    arguments = ["find", "--start", "2026-03-01T12:00:00Z", "--end", "2026-03-01T13:00:00Z"]

    for where in (["--zone", "campus"], ["--bbox=-8.58,52.67,-8.56,52.68"]):
        result = runner.invoke(app, [*arguments, *where, "--limit", "2"])

        found = [json.loads(line)["id"] for line in result.stdout.splitlines()]
        assert found == [document_id(position(2)), document_id(position(1))]
    result = runner.invoke(app, [*arguments, "--device", position(1).device])
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [document_id(position(1))]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--start", "yesterday", "--zone", "a"],
        [],
        ["--zone", ""],
        ["--bbox=1,2,3"],
        ["--bbox=a,b,c,d"],
        ["--bbox=3,2,1,0"],
        ["--bbox=-180,-90,180,90"],
    ],
)
def test_a_question_that_cannot_be_asked_says_why_and_the_exit_code_is_2(wrong: list[str]) -> None:
    result = runner.invoke(app, ["find", "--start", "2026-03-01T12:00:00Z", "--end", "2026-03-01T13:00:00Z", *wrong])

    assert result.exit_code == 2
    assert result.stderr


@pytest.mark.usefixtures("three_positions")
def test_retention_tells_what_it_drops_and_drops_it_only_without_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("documents.__main__.system_clock", lambda: NOON + 200 * 86_400_000)

    for arguments, told, left in (
        (["--keep", "90d", "--dry-run"], "2026-03-01: 3 documents\n3 documents would be dropped.\n", "3\n"),
        (["--keep", "300d"], "0 documents were dropped.\n", "3\n"),
        (["--keep", "90d"], "2026-03-01: 3 documents\n3 documents were dropped.\n", "0\n"),
    ):
        result = runner.invoke(app, ["retention", *arguments])
        assert (result.exit_code, result.stdout) == (0, told)
        assert runner.invoke(app, ["count"]).stdout == left


@pytest.mark.parametrize("arguments", [[], ["--keep", "soon"], ["--keep", "0d"]])
def test_retention_without_a_number_of_days_says_so(arguments: list[str]) -> None:
    result = runner.invoke(app, ["retention", *arguments])

    assert result.exit_code == 2
    assert "90d" in result.stderr


@pytest.mark.parametrize("command", ["setup", "count", "export", "find", "retention"])
def test_every_command_is_listed_and_explains_itself(command: str) -> None:
    listed = runner.invoke(app, [])
    explained = runner.invoke(app, [command, "--help"])

    assert command in listed.output
    assert explained.exit_code == 0
    assert f"documents {command}" in explained.stdout or f" {command} [OPTIONS]" in explained.stdout


@pytest.fixture
def of_two_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A car, a phone and a bus: the first two call themselves so, and have the same name."""
    monkeypatch.setenv("DEVICE_KEY", "ab" * 32)
    hasher = DeviceHasher(bytes.fromhex("ab" * 32))

    async def put() -> None:
        async with open_store(DocumentSettings()) as store:
            await store.setup()
            for kind, name, count in ((CAR, "ann", 1200), (MOBILE, "ann", 2), (CAR, "bus-304", 3)):
                hashed = hasher.hash(kind, name)
                await store.put([position(kind=kind, device=hashed, observed_at=NOON + at) for at in range(count)])

    asyncio.run(put())


@pytest.mark.usefixtures("of_two_kinds")
@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [([], {"car": 1200, "mobile": 2}), (["--kind", "car"], {"car": 1200}), (["--kind", "mobile"], {"mobile": 2})],
)
def test_export_of_a_device_has_all_of_it_the_newest_first_and_nothing_of_others(
    tmp_path: Path, arguments: list[str], kinds: dict[str, int]
) -> None:
    file = tmp_path / "ann.geojsonl"
    result = runner.invoke(app, ["export", "--device", "ann", *arguments, str(file)])
    assert result.exit_code == 0, result.stderr
    assert f"{sum(kinds.values())} positions written" in result.stderr
    features = [json.loads(line)["properties"] for line in file.read_text().splitlines()]
    assert Counter(each["kind"] for each in features) == kinds
    for kind in kinds:
        times = [each["observed_at"] for each in features if each["kind"] == kind]
        assert times == sorted(times, reverse=True)


@pytest.mark.usefixtures("of_two_kinds", "redis_client")
def test_export_of_a_device_has_what_it_had_under_each_key_and_source_that_is_known(
    redis_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server)
    monkeypatch.setenv("KEYS_REDIS_URL", redis_server)

    async def put() -> None:
        async with open_redis(CommonSettings(redis_url=redis_server)) as client:
            keys = await DeviceKeys(client).prepare(Rotation.DAY, ZoneInfo("Europe/Dublin"), now=NOON)
            await Sources(client).note({"gateway:g"}, now=NOON)
        hasher = DeviceHasher(bytes.fromhex("ab" * 32), rotates=True)
        hasher.take_up(keys, destroyed_until=0)
        async with open_store(DocumentSettings()) as store:
            for at, source in ((NOON - 86_400_000, ""), (NOON, ""), (NOON, "gateway:g"), (NOON, "gateway:other")):
                hashed = hasher.hash(CAR, "bus-304", source=source, at=at)
                await store.put([position(kind=CAR, device=hashed, observed_at=at)])

    asyncio.run(put())
    result = runner.invoke(app, ["export", "--device", "bus-304", "--kind", "car"])
    assert result.exit_code == 0, result.stderr
    # Three of before keys rotated; what comes from a sender that nobody has noted is nowhere.
    assert len(result.stdout.splitlines()) == 6


@pytest.mark.usefixtures("of_two_kinds", "redis_client")
def test_export_of_a_device_has_what_others_sent_for_it_also_where_no_key_rotates(
    redis_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server)
    monkeypatch.setenv("PRIVACY", "protected")
    monkeypatch.setenv("DEVICE_KEY_ROTATION", "never")

    async def put() -> None:
        async with open_redis(CommonSettings(redis_url=redis_server)) as client:
            await Sources(client).note({"gateway:g"}, now=NOON)
        hashed = DeviceHasher(bytes.fromhex("ab" * 32)).hash(CAR, "bus-305", source="gateway:g")
        async with open_store(DocumentSettings()) as store:
            await store.put([position(kind=CAR, device=hashed, observed_at=NOON)])

    asyncio.run(put())
    result = runner.invoke(app, ["export", "--device", "bus-305"])
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.usefixtures("of_two_kinds")
def test_export_of_a_device_that_nobody_knows_is_empty() -> None:
    result = runner.invoke(app, ["export", "--device", "bob"])
    assert (result.exit_code, result.stdout) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kind", "car"], "--kind: needs --device"),
        (["--device", "ann", "--kind", "horse"], "--kind: 'horse' is none of car, mobile"),
    ],
)
def test_export_of_what_is_no_kind_is_refused(arguments: list[str], words: str) -> None:
    result = runner.invoke(app, ["export", *arguments])
    assert (result.exit_code, words in result.stderr) == (2, True), result.stderr
