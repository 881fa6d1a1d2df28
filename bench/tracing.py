"""What tracing costs the stage observe: nothing traced, one entry in a thousand, and each, by turns.

python -m bench.tracing     twenty rounds of 30,000 messages in 3,000 entries: a table, and bench/results/tracing.json

Entries hold ten messages each, as of a broker that is not busy: tracing costs by entries, not by messages. Spans go to
a process that takes them and throws them away.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from prometheus_client import CollectorRegistry
from rich.console import Console

from bench.observe import UNIT, observed
from bench.quick import Quick, ResultsFile, place
from bench.results_file import ALL_CPU, Aim, Compared, results_of, write
from bench.rounds import Entry, Figures, compare
from bench.section import section
from bench.servers import redis_server
from bench.traffic import raw_messages
from core.clock import system_clock
from core.messages import RawMessage
from decoder.settings import DecoderSettings
from runtime.tracing import TracingSettings, open_tracing

A_THOUSANDTH, NOTHING, EACH = "TRACES_SHARE=0.001", "nothing traced", "TRACES_SHARE=1"
SHARES = {A_THOUSANDTH: 0.001, NOTHING: None, EACH: 1.0}
"""By entry; the others are held beside the first."""
OF_AN_ENTRY = 10
AIM = 1.01
_SINK = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
print(server.server_port, flush=True)
server.serve_forever()
"""


def main(
    *,
    messages: Annotated[int, typer.Option(min=1000, max=2_000_000, help="Messages in a turn.")] = 30_000,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the order of turns.")] = 1,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Measure what tracing costs. Needs redis-server."""
    if quick:
        messages, rounds = 2000, 1
    settings = DecoderSettings()
    traffic = raw_messages(messages, system_clock())
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    with (
        tempfile.TemporaryDirectory(prefix="bench-tracing-") as folder,
        redis_server(Path(folder)) as address,
        _sink() as url,
    ):
        if len(cores) > 1:
            # One core for the decoder; Redis and who takes spans were started before, and have the others.
            os.sched_setaffinity(0, cores[:1])
        entries = [
            Entry(name=name, run=partial(_turn, address, traffic, settings, url, share))
            for name, share in SHARES.items()
        ]
        found = compare(entries, rounds=rounds, seed=seed)
    written = results_of(
        found,
        entries,
        name="tracing",
        title=f"{messages:,} messages in entries of {OF_AN_ENTRY}, {settings.observe_batch:,} to a batch",
        repeat="python -m bench.tracing",
        compared=[Compared(UNIT), Compared(ALL_CPU, "less")],
        seed=seed,
        aims=[Aim(text="1 % of CPU at a share of 0.001", figure=ALL_CPU, over=NOTHING, most=AIM)],
    )
    Console(highlight=False, soft_wrap=True, markup=False).print(section(written))
    if file := place("tracing", quick=quick, results=results):
        write(written, file)


def _turn(address: str, traffic: list[RawMessage], settings: DecoderSettings, url: str, share: float | None) -> Figures:
    async def turn() -> Figures:
        where = TracingSettings() if share is None else TracingSettings(traces_url=url, traces_share=share)
        async with open_tracing(where, service="decoder", node="bench", registry=CollectorRegistry()) as tracing:
            return await observed(address, traffic, settings, tracing=tracing, of_an_entry=OF_AN_ENTRY)

    return uvloop.run(turn())


@contextmanager
def _sink() -> Iterator[str]:
    """A process that takes spans; yields its address."""
    command = [sys.executable, "-c", _SINK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


if __name__ == "__main__":
    typer.run(main)
