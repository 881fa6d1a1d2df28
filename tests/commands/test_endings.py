"""Who looks at the first lines of a list, or stops a command, sees no traceback."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from broker.auth.passwords import hash_password
from broker.auth.users import User, Users
from tests.commands.conftest import answering

ROOT = Path(__file__).resolve().parents[2]


def started(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("arguments", [("users", "list", "--json"), ("users", "list")])
async def test_a_reader_that_has_seen_enough_ends_the_command_silently(
    redis_client: Redis, redis_server: str, arguments: tuple[str, ...]
) -> None:
    hashed = hash_password(b"right")
    await Users(redis_client).put([User(f"car-{number}", "car", hashed) for number in range(3000)])

    def read_a_line() -> tuple[bytes, bytes]:
        with started("broker", *arguments, REDIS_URL=redis_server) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            process.stdout.close()
            return line, process.stderr.read()

    line, errors = await asyncio.to_thread(read_a_line)
    assert line
    assert errors == b""


def test_where_threads_of_others_are_at_work_it_ends_at_once_with_all_that_it_said() -> None:
    """They would abort a Python that is ending: one backup in thirty ended so on a busy machine."""
    script = (
        "import atexit, typer; from runtime.command import run; app = typer.Typer(); atexit.register(print, 'late')\n"
        "@app.command()\n"
        "def say():\n"
        "    print('a' * 100_000); raise typer.Exit(3)\n"
        "run(app, name='it', foreign_threads=True)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "a" * 100_000 + "\n", "")


def test_ctrl_c_ends_a_command_silently() -> None:
    with answering(b"+") as port:  # an answer that has no end
        with started("broker", "users", "list", REDIS_URL=f"redis://127.0.0.1:{port}") as process:
            assert process.stderr is not None
            asked = wait_until_connected(process.pid, port)
            process.send_signal(signal.SIGINT)
            errors = process.stderr.read()
        assert asked
        assert (process.wait(), b"Traceback" in errors) == (130, False)


def wait_until_connected(pid: int, port: int) -> bool:
    """Return once a process has a connection to a port of this machine."""
    wanted = f":{port:04X} "
    while Path(f"/proc/{pid}").exists():
        for line in Path("/proc/net/tcp").read_text().splitlines():
            remote = line.split()[2]
            if remote.endswith(wanted.strip()) and line.split()[3] == "01":
                return True
        time.sleep(0.02)
    return False
