"""Tokens for who writes and who reads, at InfluxDB itself: each does its work, and is refused all else."""

import asyncio
import stat
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.windows import Width, Window
from tests.conftest import NOON
from tests.influxd.server import InfluxServer
from tests.kinds_of_tests import CAR
from timeseries.__main__ import app
from timeseries.influx import InfluxOccupancyStore
from timeseries.influx_answers import AnswerError
from timeseries.influx_http import InfluxHttp
from timeseries.store import OccupancyPoint

pytestmark = pytest.mark.e2e
POINT = OccupancyPoint(Window(Width.MINUTE, NOON, "kemmy", CAR), 3)


@pytest.fixture
def prefix() -> str:
    return f"tokens-{uuid.uuid4().hex[:12]}"


@asynccontextmanager
async def store_of(influxd: InfluxServer, prefix: str, token: str) -> AsyncIterator[InfluxOccupancyStore]:
    async with InfluxOccupancyStore(url=influxd.url, org=influxd.org, token=token, bucket_prefix=prefix) as store:
        yield store


def made(influxd: InfluxServer, prefix: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The tokens of who writes and of who reads, as the command writes them."""
    for name, value in {**influxd.environment, "INFLUXDB_BUCKET_PREFIX": prefix}.items():
        monkeypatch.setenv(name, value)
    writer, reader = folder / "writer", folder / "reader"
    result = CliRunner().invoke(app, ["tokens", "--writer", str(writer), "--reader", str(reader)])
    assert result.exit_code == 0, result.output
    assert {stat.S_IMODE(file.stat().st_mode) for file in (writer, reader)} == {0o600}
    return writer.read_text().strip(), reader.read_text().strip()


async def refused(influxd: InfluxServer, token: str, method: str, path: str, body: object = None) -> bool:
    async with InfluxHttp(url=influxd.url, org=influxd.org, token=token) as http:
        try:
            await http.json(method, path, body=body)
        except AnswerError as error:
            return error.status in {401, 403, 404}
    return False


@pytest.fixture
async def with_buckets(influxd: InfluxServer, prefix: str) -> None:
    async with store_of(influxd, prefix, influxd.token) as store:
        await store.setup()


@pytest.mark.usefixtures("with_buckets")
async def test_who_writes_writes_and_who_reads_reads_and_is_refused_to_write(
    influxd: InfluxServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = await asyncio.to_thread(made, influxd, prefix, tmp_path, monkeypatch)
    async with store_of(influxd, prefix, writer) as store:
        # As a decoder begins: the buckets are there, and nothing is to be made.
        await store.setup()
        (await store.write([POINT])).check()
        assert await store.kept_since(Width.MINUTE) is None
    async with store_of(influxd, prefix, reader) as store:
        found = await store.history(zone="kemmy", kind=CAR, width=Width.MINUTE, start=NOON, end=NOON + 60_000)
        assert found == [POINT]
        assert await store.extent("kemmy", CAR, Width.MINUTE) is not None
        [undone] = (await store.write([POINT])).undone
        assert undone.windows == [POINT.window]
    [organization] = influxd.ask("GET", f"/api/v2/orgs?org={influxd.org}")["orgs"]
    bucket = {"orgID": organization["id"], "name": f"{prefix}-more", "retentionRules": []}
    for token in (writer, reader):
        assert await refused(influxd, token, "POST", "/api/v2/buckets", bucket)
        assert await refused(influxd, token, "DELETE", f"/api/v2/buckets/{influxd.buckets()['unused']['id']}")
        asked_for = {"orgID": organization["id"], "permissions": [{"action": "read", "resource": {"type": "users"}}]}
        assert await refused(influxd, token, "POST", "/api/v2/authorizations", asked_for)


async def test_the_buckets_are_found_among_more_than_a_list_of_them_shows(
    influxd: InfluxServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of others come first, and InfluxDB lists 100 at the most."""
    others = [store_of(influxd, f"{prefix}-{number}", influxd.token) for number in range(20)]
    for other in (*others, store_of(influxd, prefix, influxd.token)):
        async with other as store:
            await store.setup()
    writer, reader = await asyncio.to_thread(made, influxd, prefix, tmp_path, monkeypatch)
    assert writer != reader


@pytest.mark.usefixtures("with_buckets")
async def test_tokens_that_are_made_anew_replace_those_before(
    influxd: InfluxServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = await asyncio.to_thread(made, influxd, prefix, tmp_path, monkeypatch)
    _, after = await asyncio.to_thread(made, influxd, prefix, tmp_path, monkeypatch)
    assert before != after
    assert await refused(influxd, before, "GET", "/api/v2/buckets")
    assert not await refused(influxd, after, "GET", "/api/v2/buckets")


def test_without_buckets_there_is_nothing_to_be_let_at(
    influxd: InfluxServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**influxd.environment, "INFLUXDB_BUCKET_PREFIX": prefix}.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, ["tokens", "--writer", str(tmp_path / "w"), "--reader", str(tmp_path / "r")])
    assert (result.exit_code, "python -m timeseries setup makes them" in result.output) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("with_buckets")
async def test_tokens_are_printed_where_there_is_no_file_for_them(
    influxd: InfluxServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**influxd.environment, "INFLUXDB_BUCKET_PREFIX": prefix}.items():
        monkeypatch.setenv(name, value)
    result = await asyncio.to_thread(CliRunner().invoke, app, ["tokens", "--writer", "-", "--reader", "-"])
    (writer, one), (reader, other) = (line.split() for line in result.stdout.splitlines())
    assert (result.exit_code, writer, reader) == (0, "writer", "reader")
    assert one != other
    assert not await refused(influxd, other, "GET", "/api/v2/buckets")
