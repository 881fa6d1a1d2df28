"""Nodes as a campus runs them: processes, which can be killed with SIGKILL and started again."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from tests.conftest import WAIT_SECONDS, eventually

ROOT = Path(__file__).parents[2]


class NodeProcess:
    """One `python -m broker`; what it says is in a file beside the others'."""

    def __init__(self, environment: Mapping[str, str], folder: Path, command: Sequence[str] = ()) -> None:
        """`environment` is added to that of the tests, and names at least BROKER_NODE and OPS_PORT."""
        self.name = environment["BROKER_NODE"]
        self.port = int(environment["BROKER_PORT"])
        self.killed = 0
        """How often it was ended by `kill`."""
        self._ops_port = int(environment["OPS_PORT"])
        self._environment = {**os.environ, **environment}
        self._command = list(command) or [sys.executable, "-m", "broker"]
        self._log = folder / f"{self.name}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; it is not ready yet."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                # As the runner of `make run` does; some systems share the processor out by session.
                start_new_session=True,
            )

    async def until_ready(self) -> None:
        """Wait until it takes messages; fails where it ends instead."""
        await eventually(self.is_ready, limit=2 * WAIT_SECONDS)

    async def is_ready(self) -> bool:
        """Whether it says that it takes messages; fails where it has ended."""
        self.check()
        try:
            # Not with httpx: to make a client of it again and again costs more than a node that starts has.
            reader, writer = await asyncio.open_connection("127.0.0.1", self._ops_port)
            try:
                writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
        except OSError:
            return False

    async def get(self, path: str) -> httpx.Response:
        """What it says to operators."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self._ops_port}{path}")

    def check(self) -> None:
        """Fail where it has ended."""
        assert self._process is not None, f"{self.name} was not started"
        assert self._process.returncode is None, self.told()

    async def kill(self) -> None:
        """End it with SIGKILL."""
        self.check()
        self.killed += 1
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """End it with SIGTERM; its exit code."""
        return await self._end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, and wait for nothing."""
        self.check()
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait until it has ended, whoever did that; its exit code, or the signal as a negative number."""
        assert self._process is not None
        return await self._process.wait()

    async def leave_nothing(self) -> None:
        """End it if it has not ended."""
        if self._process is not None and self._process.returncode is None:
            await self._end(signal.SIGKILL)

    def told(self) -> str:
        """The end of its log."""
        code = self._process.returncode if self._process else None
        return f"{self.name} ended with {code}:\n{self._log.read_text()[-4000:]}"

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        async with asyncio.timeout(WAIT_SECONDS):
            return await self._process.wait()
