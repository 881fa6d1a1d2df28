import asyncio
import signal
import subprocess
import sys
from contextlib import suppress

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from core import runtime
from core.errors import BadSettings
from core.ops import serve_ops
from core.runtime import Bell, Stop, pause, work_until_stopped
from core.settings import OpsSettings
from tests.conftest import free_port


async def test_stages_finish_what_is_in_hand_when_they_are_told_to_stop() -> None:
    stop, finished = Stop(), []

    async def stage(stop: Stop) -> None:
        await stop.wait()
        await asyncio.sleep(0)
        finished.append("in hand")

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(work_until_stopped({"one": stage, "two": stage}, stop))
        await asyncio.sleep(0)
        stop.set()
    assert finished == ["in hand", "in hand"]


async def test_a_stage_that_fails_ends_the_others_with_its_error() -> None:
    ended = asyncio.Event()

    async def fails(_: Stop) -> None:
        raise ValueError("broken")

    async def works(_: Stop) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(ValueError, match="broken"):
        await work_until_stopped({"works": works, "fails": fails}, Stop())
    assert ended.is_set()


async def test_a_stage_that_swallows_its_cancellation_ends_all_the_same_when_another_fails() -> None:
    async def fails(_: Stop) -> None:
        raise ValueError("broken")

    async def swallows(stop: Stop) -> None:
        while not stop.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    async with asyncio.timeout(5):
        with pytest.raises(ValueError, match="broken"):
            await work_until_stopped({"swallows": swallows, "fails": fails}, Stop())


async def test_a_stage_that_ends_by_itself_is_a_defect_and_not_a_success() -> None:
    async def ends(_: Stop) -> None: ...

    with pytest.raises(RuntimeError, match="stage quitter ended"):
        await work_until_stopped({"quitter": ends}, Stop())


async def test_a_stage_that_waits_for_ever_is_cancelled_after_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "GRACE_SECONDS", 0.01)
    stop = Stop()
    stop.set()

    async def waits(_: Stop) -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(5):
        await work_until_stopped({"waits": waits}, stop)


async def test_a_pause_ends_with_the_stop() -> None:
    stop = Stop()
    stop.set()
    async with asyncio.timeout(5):
        await pause(3600, stop)


SERVICE = """
from core.runtime import run
from core.settings import CommonSettings
async def service(stop):
    print("started", flush=True)
    await stop.wait()
    print("stopped", flush=True)
run(service, CommonSettings())
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
    settings = OpsSettings(ops_port=free_port())
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    problem: list[str] = []
    async with (
        serve_ops(settings, ready=lambda: problem[0] if problem else None, registry=registry),
        aiohttp.ClientSession(f"http://127.0.0.1:{settings.ops_port}") as session,
    ):
        assert (await session.get("/healthz")).status == 200
        assert (await session.get("/readyz")).status == 200
        assert "things_total 3.0" in await (await session.get("/metrics")).text()
        problem.append("Redis does not answer")
        answer = await session.get("/readyz")
        assert (answer.status, await answer.text()) == (503, "Redis does not answer\n")


async def test_a_taken_port_names_its_setting() -> None:
    settings = OpsSettings(ops_port=free_port())
    async with serve_ops(settings, ready=lambda: None, registry=CollectorRegistry()):
        with pytest.raises(BadSettings, match=f"OPS_PORT: cannot listen on 127.0.0.1:{settings.ops_port}"):
            async with serve_ops(settings, ready=lambda: None, registry=CollectorRegistry()):
                pass


async def test_a_bell_that_was_rung_before_wakes_at_once_and_only_once() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    await bell.wait()
    waiting = asyncio.ensure_future(bell.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    bell.ring()
    await waiting


async def test_a_stop_rings_the_bell() -> None:
    bell, stop = Bell(), Stop()
    with bell.rung_by(stop):
        waiting = asyncio.ensure_future(bell.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        stop.set()
        await waiting
