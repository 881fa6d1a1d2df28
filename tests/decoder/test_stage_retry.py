import asyncio
from pathlib import Path
from typing import cast

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from decoder.metrics import DecoderMetrics
from decoder.settings import DecoderSettings
from decoder.stage_retry import StageRetry
from decoder.stages import Assembly
from documents import DocumentStore
from geofence import load_campus
from runtime.service import Stop
from tests.conftest import WAIT_SECONDS, eventually
from tests.decoder.conftest import HASHER, HandClock

pytestmark = pytest.mark.usefixtures("impatient")


class Away:
    """Something that is away until it is told to be back."""

    def __init__(self, reason: str = "out for lunch") -> None:
        self.reason = reason
        self.back = False

    async def __call__(self) -> str:
        if not self.back:
            raise UnavailableError(self.reason)
        return "here"


class Unready:
    """A store of documents that cannot be set up."""

    async def setup(self) -> None:
        raise UnavailableError("starting")


def waiting_now(metrics: DecoderMetrics, stage: str, partition: str) -> float | None:
    return metrics.registry.get_sample_value("decoder_waiting", {"stage": stage, "partition": partition})


async def said(metrics: DecoderMetrics, sentence: str | None) -> None:
    async def so() -> bool:
        return metrics.waiting == sentence

    await eventually(so)


async def test_a_partition_that_goes_on_does_not_speak_for_one_that_waits(metrics: DecoderMetrics) -> None:
    away = [Away(), Away(), Away("broken")]
    tasks = [
        asyncio.ensure_future(StageRetry("archive", metrics, partition=number).until_available(each))
        for number, each in enumerate(away)
    ]
    other = Away("broken")
    tasks.append(asyncio.ensure_future(StageRetry("rollup", metrics).until_available(other)))
    await said(
        metrics,
        "archive (partitions 0, 1) waits: out for lunch; archive (partition 2) waits: broken; rollup waits: broken",
    )
    away[1].back = away[2].back = True
    assert await asyncio.gather(*tasks[1:3]) == ["here", "here"]
    # Another answer of the same stage, such as every read of its stream is, changes nothing for those that wait.
    assert await StageRetry("archive", metrics, partition=1).until_available(away[1]) == "here"
    await said(metrics, "archive (partition 0) waits: out for lunch; rollup waits: broken")
    assert [waiting_now(metrics, "archive", str(number)) for number in range(3)] == [1, 0, 0]
    assert waiting_now(metrics, "rollup", "") == 1
    away[0].back = other.back = True
    await asyncio.gather(*tasks)
    assert metrics.waiting is None
    assert waiting_now(metrics, "archive", "0") == 0


async def test_each_partition_of_a_decoder_waits_on_its_own(
    metrics: DecoderMetrics, tmp_path: Path, away_redis: Redis
) -> None:
    stop = Stop()
    settings = DecoderSettings(data_dir=tmp_path, partitions=2)
    assembly = Assembly(kinds=DEFAULT_KINDS, settings=settings, client=away_redis, clock=HandClock(), metrics=metrics)
    stages = assembly.archive(cast("DocumentStore", Unready()))
    stages |= {
        name: stage
        for name, stage in assembly.observe(load_campus(None), HASHER).items()
        if name.startswith("observe-")
    }
    tasks = [asyncio.ensure_future(stage(stop)) for stage in stages.values()]

    async def all_wait() -> bool:
        return str(metrics.waiting).count("partitions 0, 1") == 2

    await eventually(all_wait)
    for stage in ("observe", "archive"):
        assert [waiting_now(metrics, stage, partition) for partition in ("0", "1")] == [1, 1]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_the_newest_reason_is_told_and_each_wait_is_logged_once(metrics: DecoderMetrics) -> None:
    away = Away("first")
    with capture_logs() as logs:
        task = asyncio.ensure_future(StageRetry("observe", metrics, partition=3).until_available(away))
        await said(metrics, "observe (partition 3) waits: first")
        away.reason = "second"
        await said(metrics, "observe (partition 3) waits: second")
        away.back = True
        await task
    ours = [log for log in logs if log["event"].startswith("stage ")]
    assert [(log["event"], log["stage"], log["partition"]) for log in ours] == [
        ("stage waits", "observe", 3),
        ("stage goes on", "observe", 3),
    ]
    attempts = metrics.registry.get_sample_value("decoder_unavailable_total", {"stage": "observe"})
    assert attempts is not None
    assert attempts >= 2


async def test_a_wait_ends_at_once_where_it_is_cancelled(metrics: DecoderMetrics) -> None:
    async def work() -> None:
        raise UnavailableError("in an hour", retry_after=3600)

    task = asyncio.ensure_future(StageRetry("rollup", metrics).until_available(work))
    await said(metrics, "rollup waits: in an hour")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, WAIT_SECONDS)


async def test_a_wait_is_told_once_and_ends(metrics: DecoderMetrics) -> None:
    answers: list[Exception | int] = [
        UnavailableError("one", retry_after=0.001),
        UnavailableError("two", retry_after=0.001),
        7,
    ]

    async def work() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            assert metrics.waiting is None or "waits" in metrics.waiting
            raise answer
        assert metrics.waiting == "archive waits: two"
        return answer

    assert await StageRetry("archive", metrics).until_available(work) == 7
    assert metrics.waiting is None
