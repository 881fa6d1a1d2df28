"""Windows that are not kept any more are dropped beside the roll-up."""

from pathlib import Path

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from core.clock import system_clock
from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from decoder.metrics import DecoderMetrics
from decoder.settings import DecoderSettings
from decoder.stages import Assembly
from runtime.service import Stop
from tests.kinds_of_tests import CAR
from timeseries import OccupancyPoint, OccupancyRetention, TimeseriesSettings, Width, Window, open_store, retention

DAY = 86_400_000


async def test_a_decoder_drops_what_is_older_than_the_setting_says(redis_client: Redis, tmp_path: Path) -> None:
    now = system_clock()
    points = [OccupancyPoint(Window(Width.MINUTE, now - days * DAY, "campus", CAR), 1) for days in (1, 2, 3, 4)]
    async with open_store(TimeseriesSettings(data_dir=tmp_path)) as store:
        await store.setup()
        await store.write(points)
    settings = DecoderSettings(data_dir=tmp_path, occupancy_keep="1m:3d")
    assembly = Assembly(
        kinds=DEFAULT_KINDS, settings=settings, client=redis_client, clock=system_clock, metrics=DecoderMetrics()
    )
    async with open_store(settings) as store:
        stop = Stop()
        stop.set()
        with capture_logs() as logs:
            await OccupancyRetention(store).step()
        left = await store.history(zone="campus", kind=CAR, width=Width.MINUTE, start=0, end=now)
        assert [point.window.start for point in left] == [now - 2 * DAY, now - DAY]
        assert [(log["event"], log["windows"]) for log in logs] == [
            ("windows older than OCCUPANCY_KEEP were dropped", 2)
        ]
        assert set(assembly.rollup(store)) >= {"rollup", "windows-retention"}


async def test_a_store_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "EVERY_SECONDS", 0.001)
    stop = Stop()
    answers: list[Exception | int] = [UnavailableError("locked"), 0, UnavailableError("locked"), 7]

    class Store:
        async def drop_expired(self) -> int:
            answer = answers.pop(0)
            if not answers:
                stop.set()
            if isinstance(answer, Exception):
                raise answer
            return answer

    with capture_logs() as logs:
        await OccupancyRetention(Store()).run(stop)  # type: ignore[arg-type] # it has what is asked of it
    assert [log["event"] for log in logs] == [
        "dropping windows is put off",
        "dropping windows is put off",
        "windows older than OCCUPANCY_KEEP were dropped",
    ]
