"""`make bench-state`: what the hot state costs, beside what it cost in the version before, in one run.

python -m bench.state                     2,000, 20,000 and 200,000 devices, 22, 500 and 5,000 zones, one Redis and
                                          three masters: a table, bench/results/state.json and state.svg. An hour or so
python -m bench.state --before 9b2a70b    the same, with ratios against the code of that commit
python -m bench.state --quick             one small size, and nothing is written: half a minute
python -m bench.state --resume            goes on where a run was ended
python -m bench.state --write-units       also writes bench/capacity/units.json, which `python -m bench.capacity` takes

Processors are counted in seconds that a process has used, not in time that passes: so it may run on a busy machine,
whose load is printed. Redis is a `redis-server` of this machine; a cluster is three of them.
"""

import json
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.capacity.node import measure_node
from bench.machine import machine
from bench.plot import Chart, svg
from bench.quick import RESULTS, Quick, ResultsFile, place
from bench.state.measure import Bench, Effort, Size
from bench.state.processes import ROOT, check_out

DEVICES = (2_000, 20_000, 200_000)
ZONES = (22, 500, 5_000)
MASTERS = 3
UNITS = ROOT / "bench" / "capacity" / "units.json"
FULL = Effort(messages=40_000, device_minutes=4_000_000, look_seconds=8.0)
QUICK = Effort(messages=4_000, device_minutes=30_000, look_seconds=2.0)
BATCHES = (1, 10, 50, 200)
UNITS_BESIDES = ("batches", "archive, decoder us/message", "node")
BY_BATCH = ("append, Redis us/message", "observe, Redis us/message", "decoder us/message")
BEFORE_MINUTES = 300_000
"""Device-minutes that the version before is given: it takes 240 bytes for each."""

_console = Console(highlight=False, soft_wrap=True)


@dataclass(slots=True)
class Measured:
    """One size, with what it costs and what it cost in the version before."""

    size: Size
    load: float
    now: dict[str, float]
    before: dict[str, float] = field(default_factory=dict)


def main(
    *,
    before: Annotated[str | None, typer.Option(metavar="COMMIT", help="The version to compare with.")] = None,
    quick: Quick = False,
    write_units: Annotated[bool, typer.Option(help="Write what `python -m bench.capacity` takes.")] = False,
    most_devices: Annotated[int, typer.Option(help="Leave out larger sizes.")] = DEVICES[-1],
    resume: Annotated[bool, typer.Option(help="Keep what bench/results/state.json has, and measure the rest.")] = False,
    results: ResultsFile = None,
) -> None:
    """Measure the hot state. Needs redis-server."""
    file = place("state", quick=quick, results=results)
    found, more = _read() if resume else ([], {})
    known = [each.size for each in found]
    sizes = [size for size in _sizes(quick=quick, most=most_devices) if size not in known]
    with tempfile.TemporaryDirectory(prefix="bench-state-before-") as folder:
        now = Bench(ROOT)
        old = Bench(check_out(before, Path(folder)), before=True) if before else None
        if write_units and not more:
            more = _units(now)
        for size in sizes:
            found.append(_measure(size, now, old, QUICK if quick else FULL))
            _show(found[-1])
            if file:
                _write(file, found, before, more)
    _table(found)
    _console.print(f"{machine()}, load {os.getloadavg()[0]:.1f}")
    if file:
        _console.print(f"written: {file}, {file.with_suffix('.svg')}")


def _sizes(*, quick: bool, most: int) -> list[Size]:
    if quick:
        return [Size(500, 22)]
    devices = [count for count in DEVICES if count <= most]
    found = (
        [Size(count, ZONES[0]) for count in devices]
        + [Size(devices[min(1, len(devices) - 1)], zones) for zones in ZONES[1:]]
        + [Size(count, ZONES[0], MASTERS) for count in devices[1:]]
        + [Size(devices[min(1, len(devices) - 1)], ZONES[-1], MASTERS)]
    )
    # What takes longest comes last.
    return sorted(found, key=lambda size: (size.devices, size.masters, size.zones))


def _units(now: Bench) -> dict[str, object]:
    """What `bench.capacity` takes besides: costs by the messages of an entry, and those of a node."""
    batches = []
    for batch in BATCHES:
        costs = now.costs(Size(2_000, ZONES[0], batch=batch), Effort(20_000, 0, 1.0, parts=batch == BATCHES[-1]))
        batches.append({"batch": batch, **_rounded({name: costs[name] for name in BY_BATCH})})
        _console.print(f"{batch} messages to an entry: {batches[-1]}")
    node = measure_node(10.0)
    _console.print(f"a node: {node}")
    archive = costs["archive, decoder us/message"]
    return {"batches": batches, "archive, decoder us/message": round(archive, 3), "node": node}


def _measure(size: Size, now: Bench, old: Bench | None, effort: Effort) -> Measured:
    _console.print(f"{size.devices:,} devices, {size.zones:,} zones, {size.masters} master(s)", style="bold")
    found = Measured(size, os.getloadavg()[0], now.costs(size, effort))
    if size.masters > 1:
        # The version before knew no Redis Cluster, and how much memory something takes does not depend on where it is.
        return found
    found.now |= now.memory(size, effort)
    if old:
        short = Effort(effort.messages, min(BEFORE_MINUTES, effort.device_minutes), effort.look_seconds)
        found.before = old.costs(size, short)
        if size.devices * 15 <= 10 * BEFORE_MINUTES:
            found.before |= old.memory(size, short)
    return found


def _show(found: Measured) -> None:
    for name, value in found.now.items():
        then = found.before.get(name)
        ratio = f", {then:,.2f} before: {then / value:.1f} times" if then and value else ""
        _console.print(f"  {name}: {value:,.2f}{ratio}")


def _table(found: list[Measured]) -> None:
    names = (
        *("windows, bytes/device-minute", "append, Redis us/message", "observe, Redis us/message"),
        *("busiest master, Redis us/message", "look, API ms"),
    )
    table = Table(
        "devices", "zones", "masters", *names, "roll-up us/window", title="the hot state (before in brackets)"
    )
    for column in table.columns:
        column.justify = "right"
    for each in found:
        size = each.size
        figures = [_figure(each, name) for name in names]
        total = sum(each.now.get(f"roll-up, {who} us/window", 0) for who in ("decoder", "Redis"))
        table.add_row(f"{size.devices:,}", f"{size.zones:,}", str(size.masters), *figures, f"{total:,.0f}")
    _console.print(table)


def _figure(found: Measured, name: str) -> str:
    now, before = found.now.get(name), found.before.get(name)
    if now is None:
        return "-"
    return f"{now:,.1f}" if before is None else f"{now:,.1f} ({before:,.1f})"


def _read() -> tuple[list[Measured], dict[str, object]]:
    """What an earlier run has written: its sizes, and unit costs besides."""
    known = json.loads((RESULTS / "state.json").read_text(encoding="utf-8"))
    found = [
        Measured(Size(each["devices"], each["zones"], each["masters"]), each["load"], each["now"], each["before"])
        for each in known["sizes"]
    ]
    return found, {name: known[name] for name in UNITS_BESIDES if name in known}


def _write(file: Path, found: list[Measured], before: str | None, units: dict[str, object]) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - found on the PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    results = {
        "commit": commit.stdout.strip(),
        "before": before,
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
        **units,
        "sizes": [
            {
                **asdict(each.size),
                "load": round(each.load, 1),
                "now": _rounded(each.now),
                "before": _rounded(each.before),
            }
            for each in found
        ],
    }
    text = json.dumps(results, indent=1) + "\n"
    file.write_text(text, encoding="utf-8")
    file.with_suffix(".svg").write_text(svg(_charts(found)), encoding="utf-8")
    if units:
        UNITS.write_text(text, encoding="utf-8")


def _charts(found: list[Measured]) -> list[Chart]:
    return [
        _by_devices(found, "Memory of windows", "windows, bytes/device-minute"),
        _by_devices(found, "Appending", "append, Redis us/message"),
        _by_devices(found, "Decoding", "observe, Redis us/message"),
        Chart("A look of the API", "zones", "milliseconds", _lines(found, "look, API ms", over="zones")),
    ]


def _by_devices(found: list[Measured], title: str, name: str) -> Chart:
    return Chart(title, "devices", name, _lines(found, name, over="devices"))


def _lines(found: list[Measured], name: str, *, over: str) -> dict[str, list[tuple[float, float]]]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for each in found:
        size = each.size
        if (size.zones == ZONES[0]) is not (over == "devices") and not (over == "zones" and size.devices == DEVICES[1]):
            continue
        masters = "one Redis" if size.masters == 1 else f"{size.masters} masters"
        for when, costs in (("", each.now), (" before", each.before)):
            if costs.get(name, 0) > 0:
                lines.setdefault(masters + when, []).append((getattr(size, over), costs[name]))
    return lines


def _rounded(costs: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in costs.items()}


if __name__ == "__main__":
    typer.run(main)
