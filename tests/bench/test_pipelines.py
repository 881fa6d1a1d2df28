"""How the rate of a pipeline is looked for, and that PostGIS is one where it is installed."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.pipelines.measure import highest
from bench.pipelines.postgis import PostGis
from bench.pipelines.psql import quoted
from tests.conftest import missing
from tests.couchdb.double import is_there

ROOT = Path(__file__).parents[2]


def asked(most: float, first: float, factor: float) -> list[float]:
    """The rates that are tried where `most` is the highest that is kept up with."""
    rates: list[float] = []

    async def keeps_up(rate: float) -> bool:
        rates.append(round(rate))
        return rate <= most

    asyncio.run(highest(keeps_up, first, factor, 12))
    return rates


def test_a_rate_is_looked_for_by_doubling_and_then_down_by_steps() -> None:
    assert asked(most=1000, first=200, factor=2) == [200, 400, 800, 1600, 1231, 947]


def test_from_the_rate_of_a_round_before_it_goes_up_or_down_by_steps() -> None:
    assert asked(most=1000, first=947, factor=1.3) == [947, 1231]
    assert asked(most=500, first=947, factor=1.3) == [947, 728, 560, 431]


def test_a_pipeline_that_keeps_up_with_nothing_is_not_asked_for_ever() -> None:
    assert asked(most=0, first=20, factor=2) == [20, 15, 12]
    assert len(asked(most=1e9, first=1, factor=2)) == 12


def test_a_text_is_quoted_for_sql() -> None:
    assert quoted("it's \\n") == "'it''s \\n'"


@pytest.mark.timeout(300)
def test_postgis_fences_and_keeps_what_comes(tmp_path: Path) -> None:
    if reason := PostGis().missing():
        # Not one of what CI has to have.
        pytest.skip(reason)
    if not is_there():
        missing("the double of CouchDB", "npm ci --prefix tests/node")

    done = subprocess.run(
        [sys.executable, "-m", "bench.pipelines", "--quick", "--peer=PostGIS", f"--results={tmp_path / 'found.json'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    name = "(e) Mosquitto + PostGIS"
    speed, losses = (
        next(one["figures"] for one in json.loads((tmp_path / file).read_text())["rounds"] if one["entry"] == name)
        for file in ("found.json", "found-losses.json")
    )
    assert speed["document after, ms"] > 0
    assert losses["lost, store away for 1 s"] == 0
    assert losses["lost, store away for 1 s: of so many"] > 30
