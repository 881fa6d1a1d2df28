"""From positions in the lake by the jobs themselves to the answers of the API."""

import dataclasses
from pathlib import Path
from zoneinfo import ZoneInfo

from analytics.calendar import Calendar
from analytics.engines.duck import DuckEngine
from analytics.running import Sources, slices
from analytics.stored import store_slice
from analytics.zones import RELATED
from lake.settings import LakeSettings
from lake.store import open_lake
from lake.writing import write_positions
from tests.analytics.crowd import DAY, HOUR, MONDAY, row
from tests.api.conftest import Parts, client_over, watched
from tests.kinds_of_tests import MOBILE
from timeseries import TimeseriesStore

MINUTE = 60_000
NINE = MONDAY + 9 * HOUR
CROWD, LEAVING, FEW = 30, 10, 4
OPEN = ""
"""No building: the open campus."""


async def test_who_goes_from_one_building_to_another_is_in_visits_and_flows_and_a_few_are_not(
    parts: Parts, store: TimeseriesStore, tmp_path: Path
) -> None:
    lake = open_lake(LakeSettings(), tmp_path)
    ways = [
        *[("main", "glucksman-library")] * CROWD,
        *[("main", OPEN)] * LEAVING,
        *[("kemmy", "schuman")] * FEW,
    ]
    write_positions(
        lake,
        [
            row(f"{number:032x}", NINE + minute * MINUTE, *filter(None, ("campus", zone)), kind="mobile")
            for number, (origin, destination) in enumerate(ways)
            for minute, zone in ((0, origin), (30, origin), (50, destination), (80, destination))
        ],
    )
    sources = Sources(
        lake=lake,
        related=RELATED.empty_table(),
        zone=ZoneInfo("Europe/Dublin"),
        calendar=Calendar(),
        presence_ttl_ms=HOUR,
    )
    engine = DuckEngine(memory="256MB", threads=1, spill=tmp_path / "spill")
    try:
        for job in ("visits", "flows"):
            for found in slices(engine, job, MONDAY, MONDAY + DAY, sources):
                await store_slice(store, job, found, campus="campus", now=MONDAY + DAY + 3 * HOUR)
    finally:
        engine.close()
    for zone in ("campus", "main", "glucksman-library", "kemmy", "schuman"):
        await watched(store, zone, MOBILE, MONDAY, MONDAY + DAY)

    later = dataclasses.replace(parts, clock=lambda: MONDAY + DAY + 9 * HOUR)
    asked = {"kind": "mobile", "start": "2026-11-23T00:00:00Z", "end": "2026-11-24T00:00:00Z"}
    async with client_over(later) as client:
        flows = (await client.get("/v1/flows", params=asked)).json()
        visits = {
            zone: (await client.get(f"/v1/zones/{zone}/visits", params=asked)).json()
            for zone in ("main", "glucksman-library", "kemmy")
        }

    assert flows["flows"] == [{"origin": "main", "destination": "glucksman-library", "count": 30, "hours": 1}]
    assert (flows["computed_at"], flows["data_begin"]) == ("2026-11-24T03:00:00Z", "2026-11-23T00:00:00Z")
    assert visits["kemmy"]["computed_at"] == "2026-11-24T03:00:00Z"
    assert not any(hour["entries"] for hour in visits["kemmy"]["hours"])
    # All who came to the library came from one building: its visits would tell that nobody came from any other.
    assert not any(hour["entries"] for hour in visits["glucksman-library"]["hours"])
    nine = visits["main"]["hours"][9]
    assert (nine["entries"], nine["exits"], nine["dwell"]["median"]) == (40, 40, 50)
    # All who came had left by ten: how many visits there were would say that nobody stayed, and that nobody was there.
    assert (nine["visits"], nine["devices"], nine["suppressed"]) == (None, None, True)
    assert nine["dwell"] == {"first_quartile": 50, "median": 50, "third_quartile": 50}
    assert [hour["entries"] for hour in visits["main"]["hours"] if hour is not nine] == [None] * 23
