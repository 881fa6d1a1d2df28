"""Decoders as a campus runs them: processes, killed with SIGKILL."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 15.0


class ProcessDecoder:
    """One `python -m decoder`; its log goes to a file beside the stores."""

    def __init__(self, name: str, environment: dict[str, str]) -> None:
        self._log = Path(environment["DATA_DIR"]) / f"{name}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "decoder"],
                cwd=ROOT,
                env={**os.environ, **environment, "DECODER_NAME": name},
                stdout=log,
                stderr=log,
            )

    def check(self) -> None:
        assert self._process.poll() is None, self._told()

    async def kill(self) -> None:
        self._process.kill()
        await asyncio.to_thread(self._process.wait, STOP_SECONDS)

    async def stop(self) -> None:
        self.check()
        self._process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(self._process.wait, STOP_SECONDS)
        assert code == 0, self._told()

    def _told(self) -> str:
        return f"decoder ended with {self._process.returncode}:\n{self._log.read_text()[-4000:]}"
