"""How a service lives: start, work until it is told to stop, finish what is in hand, end."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import structlog

from core.errors import BadSettingsError
from runtime.failures import Failures
from runtime.logs import configure_logs
from runtime.settings import CommonSettings

GRACE_SECONDS = 4.0
"""How long work in hand may take after SIGTERM. Process runners send SIGKILL after 5 to 10 s."""
CANCEL_AGAIN_SECONDS = 0.2

Stop = asyncio.Event
"""Set once, when the service is to stop: whoever works looks at it between two pieces of work."""

_log = structlog.stdlib.get_logger("runtime")


def run(
    service: Callable[[Stop], Awaitable[None]], settings: CommonSettings, *, name: str, node: str | None = None
) -> None:
    """Run a service until it returns; SIGINT and SIGTERM set its `Stop`.

    `name` and `node` are whose its lines of the log are; unless given, the node is SERVICE_NODE.
    Leaves with exit code 2 and a message where a setting cannot work (`BadSettingsError`).
    """
    configure_logs(settings, service=name, node=settings.service_node if node is None else node)

    async def main() -> None:
        stop = Stop()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await service(stop)

    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(main())
    except BadSettingsError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from error
    except Exception as defect:
        # Here, for the log: a command that fails says one sentence, and that is no help to who runs a service.
        _log.critical("the service has met a defect, and ends", exc_info=defect)
        raise SystemExit(1) from defect


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes event loops here; None where asyncio's own serve."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not made for Windows, where asyncio's own loop serves

    return uvloop.new_event_loop


async def work_until_stopped(
    stages: dict[str, Callable[[Stop], Awaitable[None]]], stop: Stop, failures: Failures | None = None
) -> None:
    """Run named stages side by side until `stop` is set; none of them ends another.

    A stage that fails, or ends although nobody asked it to, is noted in `failures` and started again after a pause that
    grows, for as long as it takes; the others go on meanwhile. So a stage must be such that it can be run again. Raises
    BadSettingsError where a stage does while the process is still starting: somebody is there to read it then. Later it
    is that stage's failure alone.

    After `stop` they have `GRACE_SECONDS` to finish what is in hand; what is still waiting then, for a dependency that
    is away, say, is cancelled. Nothing is lost by that: what was not acknowledged is delivered again.
    """
    noted = failures or Failures()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_lasting(name, stage, stop, noted), name=name) for name, stage in stages.items()]
            try:
                await stop.wait()
            finally:
                # Where a stage has ended all: what swallows its cancellation, as below, still sees this.
                stop.set()
            _, unfinished = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
            for task in unfinished:
                _log.warning("stage did not finish in time", stage=task.get_name(), seconds=GRACE_SECONDS)
            while unfinished:
                # More than once: in Python 3.11 asyncio.wait_for can swallow a cancellation (cpython issue 86296).
                for task in unfinished:
                    task.cancel()
                _, unfinished = await asyncio.wait(unfinished, timeout=CANCEL_AGAIN_SECONDS)
    except BaseExceptionGroup as group_of_errors:
        # One reason is enough, and the first is the cause of the others.
        raise group_of_errors.exceptions[0] from None


async def _lasting(name: str, stage: Callable[[Stop], Awaitable[None]], stop: Stop, failures: Failures) -> None:
    """One stage, started again whenever it fails."""
    while True:
        failures.begins(name)
        error: Exception
        try:
            await stage(stop)
            error = RuntimeError("it ended although nobody asked it to")
        except BadSettingsError as bad:
            if failures.starting:
                raise
            error = bad
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if stop.is_set() or (task is not None and task.cancelling()):
                raise
            # What it waited for was cancelled, and nobody meant the stage itself.
            error = RuntimeError("something that it waited for was cancelled")
        except Exception as defect:  # noqa: BLE001 - it is logged, counted and shown, and is no end of the others
            error = defect
        else:
            if stop.is_set():
                return
        await pause(failures.ends(name, error), stop)
        if stop.is_set():
            return


class Wakeup:
    """Wakes one worker: there is something to do, or it is to stop. Waking costs little, as each message does it."""

    def __init__(self) -> None:
        self._woken = False
        self._sleeper: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Wake the worker, now or as soon as it wants to sleep."""
        self._woken = True
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    async def wait(self) -> None:
        """Sleep until somebody wakes it; return at once if somebody has since the last time."""
        if not self._woken:
            self._sleeper = asyncio.get_running_loop().create_future()
            await self._sleeper
        self._woken = False

    @contextmanager
    def woken_by(self, stop: Stop) -> Iterator[None]:
        """As long as this lasts, `stop` wakes it as well."""
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: self.wake())
        try:
            yield
        finally:
            stopping.cancel()


async def pause(seconds: float, stop: Stop) -> None:
    """Wait, but no longer than until `stop` is set."""
    # Not asyncio.wait_for, which in Python 3.11 swallows a cancellation that comes as the time is over.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
