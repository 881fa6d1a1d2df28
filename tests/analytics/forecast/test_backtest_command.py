"""`python -m analytics backtest`, as it is typed."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analytics.__main__ import app
from tests.analytics.forecast.test_forecast_jobs import NOW, START, fill
from tests.kinds_of_tests import MOBILE
from timeseries.sqlite import FILE_NAME, SqliteOccupancyStore


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))


def filled(tmp_path: Path) -> None:
    async def fill_it() -> None:
        async with SqliteOccupancyStore(file=tmp_path / FILE_NAME) as store:
            await store.setup()
            await fill(store, START, NOW - NOW % 3_600_000)

    asyncio.run(fill_it())


def test_each_series_is_shown_with_the_error_of_each_model_and_what_is_served(tmp_path: Path) -> None:
    filled(tmp_path)
    assert datetime.fromtimestamp(NOW / 1000).date().isoformat() == "2026-11-23"  # noqa: DTZ006 - the date alone
    done = CliRunner().invoke(app, ["backtest", "--until", "2026-11-23"], env={"COLUMNS": "120"})
    assert done.exit_code == 0, done.output
    (row,) = [line for line in done.stdout.splitlines() if "campus" in line]
    cells = [cell.strip() for cell in row.split("\u2502")][1:-1]
    assert cells[:2] == ["campus", MOBILE]
    # More come each week: last week is as wrong as it always was, and a typical week is more so.
    assert cells[2] == "0.990"
    assert float(cells[3]) > 1.0
    assert cells[6] in {"mstl", "lightgbm"}
    assert "1 of 1 are served" in done.stderr


def test_without_a_past_it_says_so(tmp_path: Path) -> None:
    async def make() -> None:
        async with SqliteOccupancyStore(file=tmp_path / FILE_NAME) as store:
            await store.setup()

    asyncio.run(make())
    done = CliRunner().invoke(app, ["backtest"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert "of four weeks or more before that, nothing is recorded" in done.stderr
