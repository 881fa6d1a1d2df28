"""How long POST /v1/positions keeps the API's event loop busy with large messages, beside decoding their JSON alone.

python -m bench.sending    a table, and bench/results/sending.json

Nothing is sent: it is the reading of a body (`payloads.read`), during which a process answers nobody else. Seconds are
those of the processor, so that others on the machine do not matter.
"""

import base64
import gzip
from collections.abc import Callable
from statistics import median
from time import thread_time
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from bench.machine import machine
from bench.quick import Quick, ResultsFile, keep, place
from core.clock import system_clock
from payloads import Refusal, Sender, read

POSITIONS = 500
"""The most of one message."""


def _collection(**changes: Any) -> bytes:
    """As terse as features can be, which differ in their device alone, with `changes` in each."""
    geometry = {"type": "Point", "coordinates": [-8.57, 52.67]}
    features = [
        {"type": "Feature", "geometry": geometry, "properties": {"device_id": f"b{number}"}} | changes
        for number in range(POSITIONS)
    ]
    return msgspec.json.encode({"type": "FeatureCollection", "features": features})


def bodies() -> dict[str, tuple[bytes, bytes]]:
    """By what they are: a body, and the JSON in it."""
    terse = _collection()
    owntracks = {"_type": "location", "lat": 52.67, "lon": -8.57, "tst": 1_772_366_340, "tid": "ab"}
    plain = {
        "a list of OwnTracks": msgspec.json.encode([owntracks] * POSITIONS),
        "none has a device": _collection(properties={}),
        "none is a point": _collection(geometry={"type": "LineString", "coordinates": []}),
        "coordinates are texts": _collection(geometry={"type": "Point", "coordinates": ["1", "2"]}),
    }
    return {
        "terse features": (terse, terse),
        "the same in gzip": (gzip.compress(terse), terse),
        "the same in gzip in base64": (base64.b64encode(gzip.compress(terse)), terse),
        **{name: (text, text) for name, text in plain.items()},
    }


def _milliseconds(rounds: int, work: Callable[[bytes], object], data: bytes) -> list[float]:
    found = []
    for _ in range(rounds):
        began = thread_time()
        work(data)
        found.append((thread_time() - began) * 1000)
    return found


def main(
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Times that each is read.")] = 100,
    *,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Measure it, in one process, without I/O."""
    rounds = 2 if quick else rounds
    sender = Sender(None, None, "gateway", system_clock(), None)
    table = Table("500 positions", "bytes", "refused", "median ms", "most ms", "beside JSON", title="Reading a body")
    found: dict[str, object] = {"machine": machine()}
    for name, (body, text) in bodies().items():
        refused = sum(isinstance(each, Refusal) for each in read(body, sender))
        spent = _milliseconds(rounds, lambda data: read(data, sender), body)
        peer = _milliseconds(rounds, msgspec.json.decode, text)
        numbers = (f"{median(spent):.2f}", f"{max(spent):.2f}", f"{median(spent) / median(peer):.1f}")
        table.add_row(name, f"{len(body):,}", str(refused), *numbers)
        found[name] = {"bytes": len(body), "refused": refused, "ms": spent, "ms of JSON alone": peer}
    console = Console()
    console.print(table)
    console.print(machine(), highlight=False)
    keep(found, place("sending", quick=quick, results=results))


if __name__ == "__main__":
    typer.run(main)
