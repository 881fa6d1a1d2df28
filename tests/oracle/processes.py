"""Decoders as a campus runs them: processes, killed with SIGKILL."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from pydantic import SecretStr

from decoder.settings import DecoderSettings
from tests.oracle.clock import RunningClock

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 90.0
"""A thread that waits for a store of a busy machine keeps a process from ending."""


class ProcessDecoder:
    """One `python -m decoder`, by `clock`; its log goes to a file beside the stores."""

    def __init__(self, settings: DecoderSettings, clock: RunningClock) -> None:
        self._log = settings.data_dir / f"{settings.decoder_name}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.oracle.decoder_ahead", str(clock.ahead)],
                cwd=ROOT,
                env={**os.environ, **_environment(settings)},
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
        # One that has only just been started, in place of another, does not listen yet.
        assert code in (0, -signal.SIGTERM), self._told()

    def _told(self) -> str:
        return f"decoder ended with {self._process.returncode}:\n{self._log.read_text()[-4000:]}"


def _environment(settings: DecoderSettings) -> dict[str, str]:
    """What was chosen in `settings`, as the variables that say so."""
    chosen = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {
        name.upper(): value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in chosen.items()
    }
