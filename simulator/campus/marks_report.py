"""What `score --marks` prints: precision and recall by mark."""

import sys
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from core.clock import format_rfc3339
from core.kinds import KindId
from runtime import command
from runtime.devices import DeviceHasher
from simulator.campus.counted import Counts
from simulator.campus.marked import (
    MarkScore,
    Scored,
    honest_devices,
    judged_range,
    score_marks,
    seen_devices,
    seen_marks,
)
from simulator.campus.truth import About, Visit

_WIDTH = 100


class _Report(msgspec.Struct):
    start: str
    end: str
    devices: int
    seed: int
    honest: int
    wronged: int
    marks: list[MarkScore]


def report_marks(
    truth: Path, about: About, visits: list[Visit], counts: Counts, hasher: DeviceHasher
) -> tuple[Scored, bytes]:
    """Ask the API, print a table, and give the figures, also as JSON. Raises NoCountsError.

    A truth that has no hour, or no spoofers, ends the command with a sentence.
    """
    judged = judged_range(about)
    if judged is None:
        command.fail(f"{truth}: no hour of it is over, and what is judged are hours")
    if not about.spoofers:
        command.fail(f"{truth}: nobody makes positions up in it: campus --spoofers has some who do")
    start, end = judged
    # The id of a spoofer begins with its kind, as all ids of a crowd.
    guilty = {hasher.hash(KindId(device.partition("-")[0]), device): mark for device, mark in about.spoofers.items()}
    present = seen_devices(counts, guilty, start, end)
    scored = score_marks(
        seen_marks(counts, start, end),
        {device: mark for device, mark in guilty.items() if device in present},
        [hasher.hash(kind, device) for kind, device in honest_devices(visits, start, end)],
    )
    _show(scored)
    report = _Report(
        start=format_rfc3339(start),
        end=format_rfc3339(end),
        devices=about.devices,
        seed=about.seed,
        honest=scored.honest,
        wronged=scored.wronged,
        marks=scored.marks,
    )
    return scored, msgspec.json.format(msgspec.json.encode(report), indent=1)


def _show(scored: Scored) -> None:
    table = Table("mark", title="marks beside the truth", box=box.SIMPLE_HEAD)
    for name in ("spoofers", "marked", "right", "precision", "recall"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in scored.marks:
        table.add_row(
            one.mark.value,
            str(one.spoofers),
            str(one.marked),
            str(one.right),
            "" if one.precision is None else f"{one.precision:.0%}",
            "" if one.recall is None else f"{one.recall:.0%}",
        )
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    console.print(table)
    console.print(f"{scored.wronged} of {scored.honest} honest devices are marked")
