"""What Redis needs to append messages to `raw`, and to read, acknowledge and trim them, by how many come together.

python -m bench.state.raw

Redis keeps an append-only file, as it should; its processor is counted, in seconds that it worked. The messages are not
decoded: what observing adds is in `python -m bench.state`.
"""

import asyncio
import os
import statistics
import tempfile
from collections import Counter
from pathlib import Path

import redis
import typer
from rich.console import Console
from rich.table import Table

from bench.machine import machine
from bench.quick import Quick, ResultsFile, keep
from bench.servers import redis_server
from core.clock import system_clock
from runtime.settings import CommonSettings
from state.client import open_redis
from state.entries import Group, counted, encode_entries
from state.raw import Finisher, Part, Raw
from state.raw_group import RawGroup

TOGETHER = (1, 10, 50, 200, 500)
MESSAGES = 50_000
READ = 500
"""OBSERVE_BATCH."""
ROUNDS = 3
PAYLOAD = b"x" * 240
_console = Console(highlight=False)


def main(*, quick: Quick = False, results: ResultsFile = None) -> None:
    """Measure. Needs redis-server."""
    sizes, count, most = (TOGETHER[-2:], 1000, 1) if quick else (TOGETHER, MESSAGES, ROUNDS)
    found = {}
    table = Table("messages together", "append, us", "read, acknowledge and trim, us", title="Redis, for a message")
    for column in table.columns:
        column.justify = "right"
    for together in sizes:
        rounds = [asyncio.run(_round(together, count if together > 1 else count // 10)) for _ in range(most)]
        append, read = (statistics.median(each) for each in zip(*rounds, strict=True))
        found[str(together)] = {"append, us": append, "read, acknowledge and trim, us": read}
        table.add_row(f"{together:,}", f"{append:.2f}", f"{read:.2f}")
    _console.print(table)
    _console.print(f"{machine()}, load {os.getloadavg()[0]:.1f}")
    # By hand it is a look alone.
    keep({"messages together": found, "machine": machine()}, results)


async def _round(together: int, count: int) -> tuple[float, float]:
    """Microseconds of Redis for a message, appended, and read until it is gone."""
    settings = ("--appendonly", "yes")
    with tempfile.TemporaryDirectory(prefix="bench-raw-") as folder, redis_server(Path(folder), *settings) as url:
        async with open_redis(CommonSettings(redis_url=url)) as client:
            raw = Raw(client=client, partitions=1)
            group = RawGroup(client=client, partition=0, partitions=1, consumer="bench", claim_after_ms=30_000)
            finisher = Finisher(client=client, partitions=1, dead_letters_max=1000)
            await group.create()
            groups = [
                Group("mobile-iotp", f"device-{number}", "mobile", system_clock(), "", [PAYLOAD])
                for number in range(together)
            ]
            entries = encode_entries(groups)
            await raw.append(0, entries, most=count)
            await _work_off(group, finisher)
            with redis.Redis.from_url(url) as watcher:
                first = _cpu(watcher)
                for _ in range(count // together):
                    await raw.append(0, entries, most=count)
                appended = _cpu(watcher)
                await _work_off(group, finisher)
                done = _cpu(watcher)
    sent = count // together * together
    return (appended - first) / sent * 1e6, (done - appended) / sent * 1e6


async def _work_off(group: RawGroup, finisher: Finisher) -> None:
    while found := await group.read(READ):
        sizes = [counted(fields) for _, fields in found]
        parts = [Part(entry_id, 0, None, size) for (entry_id, _), size in zip(found, sizes, strict=True)]
        await finisher.finish(0, parts, totals=Counter(messages=sum(sizes)))


def _cpu(client: redis.Redis) -> float:
    told = client.info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"])


if __name__ == "__main__":
    typer.run(main)
