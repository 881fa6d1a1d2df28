"""Tokens for who writes and who reads, at InfluxDB itself: each does its work, and is refused all else."""

import asyncio
import stat
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.errors import UnavailableError
from core.windows import Width, Window
from tests.conftest import NOON
from tests.influxd.server import InfluxServer
from tests.kinds_of_tests import CAR
from timeseries.__main__ import app
from timeseries.influx import InfluxOccupancyStore
from timeseries.influx_answers import AnswerError
from timeseries.influx_http import InfluxHttp
from timeseries.results import Result
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


def made(
    influxd: InfluxServer,
    prefix: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *options: str,
    privacy: str = "open",
    who: Sequence[str] = ("writer", "public"),
) -> list[str]:
    """The tokens of who writes and of who is shown what may be told, or of others, as the command writes them."""
    for name, value in {**influxd.environment, "INFLUXDB_BUCKET_PREFIX": prefix, "PRIVACY": privacy}.items():
        monkeypatch.setenv(name, value)
    files = {name: folder / name for name in who}
    result = CliRunner().invoke(app, ["tokens", *options, *(f"{name}={file}" for name, file in files.items())])
    assert result.exit_code == 0, result.output
    assert {stat.S_IMODE(file.stat().st_mode) for file in files.values()} == {0o600}
    return [file.read_text().strip() for file in files.values()]


async def minute_of(store: InfluxOccupancyStore) -> list[OccupancyPoint]:
    return await store.history(zone="kemmy", kind=CAR, width=Width.MINUTE, start=NOON, end=NOON + 60_000)


async def refused(influxd: InfluxServer, token: str, method: str, path: str, body: object = None) -> bool:
    async with InfluxHttp(url=influxd.url, org=influxd.org, token=token) as http:
        try:
            await http.json(method, path, body=body)
        except AnswerError as error:
            return error.status in {401, 403, 404}
    return False


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
        assert await minute_of(store) == [POINT]
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


async def test_a_token_that_is_right_stays_and_one_that_is_made_anew_replaces_it(
    influxd: InfluxServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await asyncio.to_thread(made, influxd, prefix, tmp_path, monkeypatch)
    (tmp_path / "public").unlink()
    (tmp_path / "writer").write_text("of an administrator")
    (tmp_path / "writer").chmod(0o400)
    assert await asyncio.to_thread(made, influxd, prefix, tmp_path, monkeypatch) == first
    after = await asyncio.to_thread(made, influxd, prefix, tmp_path, monkeypatch, "--anew")
    assert not set(first) & set(after)
    for token in first:
        assert await refused(influxd, token, "GET", "/api/v2/buckets")
    for token in after:
        assert not await refused(influxd, token, "GET", "/api/v2/buckets")


async def test_under_protected_who_is_public_reads_released_counts_alone(
    influxd: InfluxServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [before] = await asyncio.to_thread(made, influxd, prefix, tmp_path, monkeypatch, who=["public"])
    who = ["writer", "reader", "public"]
    writer, reader, public = await asyncio.to_thread(
        made, influxd, prefix, tmp_path, monkeypatch, privacy="protected", who=who
    )
    # What it had while all was open would read true counts.
    assert await refused(influxd, before, "GET", "/api/v2/buckets")
    for at in (prefix, f"{prefix}-released"):
        async with store_of(influxd, at, writer) as store:
            (await store.write([POINT])).check()
    async with store_of(influxd, f"{prefix}-released", public) as store:
        assert await minute_of(store) == [POINT]
        [undone] = (await store.write([POINT])).undone
        assert undone.windows == [POINT.window]
    async with store_of(influxd, prefix, public) as store:
        with pytest.raises(UnavailableError):
            await minute_of(store)
    for at in (prefix, f"{prefix}-released"):
        async with store_of(influxd, at, reader) as store:
            assert await minute_of(store) == [POINT]


def rights_of(influxd: InfluxServer, description: str) -> set[tuple[str, str]]:
    found = influxd.ask("GET", "/api/v2/authorizations")["authorizations"]
    [permissions] = [each["permissions"] for each in found if each["description"] == description]
    return {(each["action"], each["resource"]["name"]) for each in permissions}


async def test_who_works_results_out_writes_these_and_reads_the_rest(
    influxd: InfluxServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [token] = await asyncio.to_thread(made, influxd, prefix, tmp_path, monkeypatch, privacy="strict", who=["analytics"])
    stores = (prefix, f"{prefix}-released")
    named = [f"{each}_{width}" for each in stores for width in ("1m", "5m", "1h", "1d", "results")]
    results = [("write", f"{each}_results") for each in stores]
    assert rights_of(influxd, f"analytics of {prefix}") == {*(("read", name) for name in named), *results}
    for each in stores:
        async with store_of(influxd, each, token) as store:
            # As the service begins: the buckets are there, and nothing is to be made.
            await store.setup()
            await store.write_results([Result("visits", "kemmy", CAR, "", NOON, {"entries": 7.0})])
            assert [found.values for found in await store.results("visits", start=NOON, end=NOON + 1)] == [
                {"entries": 7.0}
            ]
            [undone] = (await store.write([POINT])).undone
            assert undone.windows == [POINT.window]


@pytest.mark.parametrize("wrong", ["writer", "writer=", "everybody=x"])
def test_who_is_nobody_gets_no_token(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("TIMESERIES_STORE", "sqlite")
    result = CliRunner().invoke(app, ["tokens", wrong])
    assert (result.exit_code, "where WHO is writer, reader, public, analytics" in result.output) == (2, True)


async def test_tokens_are_printed_where_there_is_no_file_for_them(
    influxd: InfluxServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**influxd.environment, "INFLUXDB_BUCKET_PREFIX": prefix}.items():
        monkeypatch.setenv(name, value)
    result = await asyncio.to_thread(CliRunner().invoke, app, ["tokens", "writer=-", "public=-"])
    given = dict(line.split() for line in result.stdout.splitlines() if line.startswith(("writer ", "public ")))
    assert (result.exit_code, list(given)) == (0, ["writer", "public"])
    assert given["writer"] != given["public"]
    assert not await refused(influxd, given["public"], "GET", "/api/v2/buckets")
