"""What a backlog costs: the memory of Redis for each waiting message, and of a decoder that works them all off.

python -m bench.backlog                      a million messages: figures, and bench/results/backlog.json
python -m bench.backlog --messages 100000    fewer, for a first look
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import redis
import typer
from rich.console import Console
from rich.progress import Progress

from bench.machine import machine
from bench.quick import Quick, ResultsFile, keep, place
from bench.servers import redis_server
from bench.traffic import raw_messages
from core.clock import system_clock
from state.entries import BATCH, COUNT, encode_entry, group_of
from state.raw import keys_of
from state.totals import ACCEPTED, FINISHED

LIMIT_MB = 256
ROOT = Path(__file__).parents[1]
SAMPLE_SECONDS = 0.25
_SHARE = 20_000
_ENTRY = 100
"""Messages of an entry."""
KEYS = keys_of(0, 1)


def main(
    *,
    messages: Annotated[int, typer.Option(min=1000, max=5_000_000, help="Messages that wait.")] = 1_000_000,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Measure a backlog. Needs redis-server, and about 700 bytes of memory a message."""
    if quick:
        messages = 1000
    with (
        tempfile.TemporaryDirectory(prefix="bench-backlog-") as folder,
        redis_server(Path(folder)) as address,
        redis.Redis.from_url(address) as client,
        Progress() as progress,
    ):
        before = _memory(client)
        _append(client, messages, progress)
        entry_bytes = (_memory(client) - before) / messages
        started = time.perf_counter()
        peak = _work_off(client, address, Path(folder) / "data", messages, progress)
        seconds = time.perf_counter() - started
    figures = {
        "messages": messages,
        "bytes of Redis a waiting message": round(entry_bytes),
        "bytes of its payload": round(sum(len(message.payload) for message in raw_messages(1000, 0)) / 1000),
        "peak memory of the decoder, MB": round(peak / 1e6, 1),
        "messages/s, all three stages": round(messages / seconds),
        "machine": machine(),
    }
    for name, value in figures.items():
        Console().print(f"{name}: {value}", highlight=False)
    Console().print(f"target: under {LIMIT_MB} MB: {'reached' if peak < LIMIT_MB * 1e6 else 'MISSED'}")
    keep(figures, place("backlog", quick=quick, results=results))


def _memory(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


def _append(client: redis.Redis, count: int, progress: Progress) -> None:
    task = progress.add_task("appending", total=count)
    share = raw_messages(min(_SHARE, count), system_clock())
    left = count
    while left:
        sent = min(_ENTRY, left)
        entry = encode_entry([group_of(message) for message in share[:sent]])
        with client.pipeline(transaction=True) as pipeline:
            pipeline.xadd(KEYS.raw, {COUNT: entry.messages, BATCH: entry.batch})
            pipeline.hincrby(KEYS.totals, ACCEPTED, entry.messages)
            pipeline.execute()
        share = share[sent:] + share[:sent]
        left -= sent
        progress.advance(task, sent)


def _work_off(client: redis.Redis, address: str, data_dir: Path, count: int, progress: Progress) -> int:
    """Run a decoder until nothing is left; the most memory that it had, in bytes."""
    task = progress.add_task("decoding", total=count)
    environment = {**os.environ, "REDIS_URL": address, "DATA_DIR": str(data_dir), "LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "decoder"]
    peak = 0
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:  # noqa: S603 - our own program
        while left := _waiting(client) + client.xlen(KEYS.positions):
            if process.poll() is not None:
                raise SystemExit("the decoder has ended")
            progress.update(task, completed=max(0, count - left))
            peak = max(peak, _resident(process.pid))
            time.sleep(SAMPLE_SECONDS)
        progress.update(task, completed=count)
        process.terminate()
    return peak


def _waiting(client: redis.Redis) -> int:
    accepted, finished = (int(count or 0) for count in client.hmget(KEYS.totals, ACCEPTED, FINISHED))
    return accepted - finished


def _resident(pid: int) -> int:
    """Bytes of memory that a process has (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    typer.run(main)
