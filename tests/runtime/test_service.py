import asyncio
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import structlog
from prometheus_client import CollectorRegistry, Counter

from core.errors import BadSettingsError
from runtime import failures
from runtime import service as runtime
from runtime.failures import Failures
from runtime.ops import serve_ops
from runtime.process_metrics import measure_process
from runtime.service import Stop, Wakeup, pause, work_until_stopped
from runtime.settings import OpsSettings
from tests.conftest import WAIT_SECONDS, free_port


async def test_stages_finish_what_is_in_hand_when_they_are_told_to_stop() -> None:
    stop, finished = Stop(), []

    async def stage(stop: Stop) -> None:
        await stop.wait()
        await asyncio.sleep(0)
        finished.append("in hand")

    async with asyncio.timeout(WAIT_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(work_until_stopped({"one": stage, "two": stage}, stop))
        await asyncio.sleep(0)
        stop.set()
    assert finished == ["in hand", "in hand"]


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_PAUSE_SECONDS", 0.01)


class Failing:
    """A stage that fails so many times, then works."""

    def __init__(self, error: BaseException, times: int = 1) -> None:
        self._errors = [error] * times
        self.works = asyncio.Event()

    async def __call__(self, stop: Stop) -> None:
        if self._errors:
            raise self._errors.pop()
        self.works.set()
        await stop.wait()


async def healthy(stop: Stop) -> None:
    await stop.wait()


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("error", [ValueError("broken"), asyncio.CancelledError(), ExceptionGroup("", [OSError()])])
async def test_a_stage_that_fails_is_started_again_and_ends_no_other(error: BaseException) -> None:
    stop, fails, lives = Stop(), Failing(error, 3), []

    async def works(stop: Stop) -> None:
        lives.append("one")
        await stop.wait()

    async with asyncio.timeout(WAIT_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(work_until_stopped({"works": works, "fails": fails}, stop))
        await fails.works.wait()
        stop.set()
    assert lives == ["one"]


@pytest.mark.usefixtures("short_pauses")
async def test_a_failure_is_seen_by_whoever_asks_and_logged_once_with_its_traceback() -> None:
    stop, fails, noted = Stop(), Failing(ValueError("broken"), 2), Failures()
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(WAIT_SECONDS), asyncio.TaskGroup() as group:
            group.create_task(work_until_stopped({"works": healthy, "fails": fails}, stop, noted))
            await fails.works.wait()
            stop.set()
    assert noted.problem == "stage fails fails, and is started again: ValueError (the log has its words)"
    assert [(log["stage"], log["error"], log["exc_info"] is None) for log in logs] == [
        ("fails", "ValueError: broken", False),
        ("fails", "ValueError: broken", True),
    ]


@pytest.mark.usefixtures("short_pauses")
async def test_a_stage_that_ends_by_itself_is_a_defect_and_not_a_success() -> None:
    stop, lives, noted = Stop(), [], Failures()

    async def quits_twice(stop: Stop) -> None:
        lives.append("one")
        if len(lives) == 3:
            stop.set()

    async with asyncio.timeout(WAIT_SECONDS):
        await work_until_stopped({"quitter": quits_twice}, stop, noted)
    assert noted.problem == "stage quitter fails, and is started again: RuntimeError (the log has its words)"


async def test_a_setting_that_cannot_work_ends_all_stages_while_the_process_starts() -> None:
    async def swallows(stop: Stop) -> None:
        while not stop.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(BadSettingsError, match="CLOUDANT_URL"):
            await work_until_stopped(
                {"swallows": swallows, "fails": Failing(BadSettingsError("CLOUDANT_URL: no"))}, Stop()
            )


@pytest.mark.usefixtures("short_pauses")
async def test_a_setting_that_turns_out_wrong_later_ends_its_stage_alone() -> None:
    seconds = iter([0.0])
    noted = Failures(monotonic=lambda: next(seconds, 61.0))
    stop, fails = Stop(), Failing(BadSettingsError("CLOUDANT_URL: no"))
    async with asyncio.timeout(WAIT_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(work_until_stopped({"works": healthy, "fails": fails}, stop, noted))
        await fails.works.wait()
        stop.set()
    assert noted.problem == "stage fails fails, and is started again: CLOUDANT_URL: no"


async def test_a_stage_that_fails_while_it_is_to_stop_does_not_keep_the_others_from_finishing() -> None:
    stop, finished = Stop(), []

    async def fails(stop: Stop) -> None:
        await stop.wait()
        raise ValueError("broken")

    async def finishes(stop: Stop) -> None:
        await stop.wait()
        await asyncio.sleep(0.01)
        finished.append("in hand")

    async with asyncio.timeout(WAIT_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(work_until_stopped({"fails": fails, "finishes": finishes}, stop))
        await asyncio.sleep(0)
        stop.set()
    assert finished == ["in hand"]


async def test_a_stage_that_waits_for_ever_is_cancelled_after_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "GRACE_SECONDS", 0.01)
    stop = Stop()
    stop.set()

    async def waits(_: Stop) -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(WAIT_SECONDS):
        await work_until_stopped({"waits": waits}, stop)


async def test_a_pause_ends_with_the_stop() -> None:
    stop = Stop()
    stop.set()
    async with asyncio.timeout(WAIT_SECONDS):
        await pause(3600, stop)


SERVICE = """
from runtime.service import run
from runtime.settings import CommonSettings
async def service(stop):
    print("started", flush=True)
    await stop.wait()
    print("stopped", flush=True)
run(service, CommonSettings(), name="broker")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_service_cleanly(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(number)
        assert process.stdout.read() == "stopped\n"
    assert process.returncode == 0


async def test_operators_see_health_readiness_and_metrics() -> None:
    settings = OpsSettings(ops_port=free_port(), campus_version="9.8.7", campus_revision="4f2e9c1")
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    problem: list[str] = []
    remark: list[str] = []
    async with (
        serve_ops(
            settings,
            service="decoder",
            ready=lambda: problem[0] if problem else None,
            registry=registry,
            remark=lambda: remark[0] if remark else None,
        ),
        aiohttp.ClientSession(f"http://127.0.0.1:{settings.ops_port}") as session,
    ):
        assert (await session.get("/healthz")).status == 200
        assert await (await session.get("/readyz")).text() == "ready\n"
        remark.append("stage sys fails")
        answer = await session.get("/readyz")
        assert (answer.status, await answer.text()) == (200, "ready, but stage sys fails\n")
        shown = await (await session.get("/metrics")).text()
        assert "things_total 3.0" in shown
        assert 'campus_build_info{revision="4f2e9c1",service="decoder",version="9.8.7"} 1.0' in shown
        assert "process_resident_memory_bytes " in shown
        assert 'python_gc_collections_total{generation="0"}' in shown
        problem.append("Redis does not answer")
        answer = await session.get("/readyz")
        assert (answer.status, await answer.text()) == (503, "Redis does not answer\n")


def test_where_the_source_is_the_version_is_that_of_the_project() -> None:
    registry = CollectorRegistry()
    measure_process(registry, "api", OpsSettings())
    (sample,) = (each for family in registry.collect() for each in family.samples if each.name == "campus_build_info")
    assert sample.labels["service"] == "api"
    assert sample.labels["revision"] == "unknown"
    assert f'version = "{sample.labels["version"]}"\n' in (Path(__file__).parents[2] / "pyproject.toml").read_text()


async def test_a_taken_port_names_its_setting() -> None:
    settings = OpsSettings(ops_port=free_port())
    async with serve_ops(settings, service="broker", ready=lambda: None, registry=CollectorRegistry()):
        with pytest.raises(BadSettingsError, match=f"OPS_PORT: cannot listen on 127.0.0.1:{settings.ops_port}"):
            async with serve_ops(settings, service="broker", ready=lambda: None, registry=CollectorRegistry()):
                pass


async def test_who_was_woken_before_goes_on_at_once_and_only_once() -> None:
    wakeup = Wakeup()
    wakeup.wake()
    wakeup.wake()
    await wakeup.wait()
    waiting = asyncio.ensure_future(wakeup.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    wakeup.wake()
    await waiting


async def test_a_stop_wakes_it() -> None:
    wakeup, stop = Wakeup(), Stop()
    with wakeup.woken_by(stop):
        waiting = asyncio.ensure_future(wakeup.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        stop.set()
        await waiting
