"""`python -m simulator score`: counts beside the truth."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import typer
from pydantic import Field, SecretStr
from rich import box
from rich.console import Console
from rich.table import Table

from core.clock import format_rfc3339
from core.errors import BadSettingsError
from core.windows import Width, nominal_ms
from runtime import command
from runtime.devices import DeviceHasher, device_hasher
from runtime.settings import CampusSettings, DeviceSettings, kinds_or_exit, load_or_exit
from simulator.campus.counted import Counts, NoCountsError
from simulator.campus.marks_report import report_marks
from simulator.campus.plot import Drawn, svg
from simulator.campus.present import read_looks, seen, truly_there
from simulator.campus.score import Score, Series, scores, true_counts, windows_of
from simulator.campus.truth import BadTruthError, read_truth

CHARTS = 6
FEWEST_LOOKS = 2
_WIDTH = 120
HELP = """How wrong counts are: those of the API beside the truth that `campus` or `history` wrote, by zone and kind.

A count is how many devices were in a zone during a window. error is how many it is off in the mean, bias the same with
its sign, "within 10 %" the share of windows that are no further off, delay by how much counts follow the truth. Counts
that are withheld, and windows that were not recorded, are left out.

\b
Examples:
  python -m simulator score truth.ndjson.gz --api http://127.0.0.1:8080
  python -m simulator score truth.ndjson.gz --window 1h --plot score.svg --json score.json
  python -m simulator score truth.ndjson.gz --present present.ndjson
  API_KEY=... python -m simulator score truth.ndjson.gz --marks
"""


class ScoreSettings(DeviceSettings, CampusSettings):
    """What the score must know besides the truth."""

    api_key: SecretStr | None = Field(
        default=None,
        description="An API key, where the API answers nothing without one; any scope will do, for --marks"
        " positions:read.",
    )


class Window(StrEnum):
    """Widths that begin at the same times everywhere."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    HOUR = "1h"


class _Report(msgspec.Struct):
    start: str
    end: str
    window: str
    devices: int
    seed: int
    scores: list[Score]


def score_command(
    truth: Annotated[Path, typer.Argument(help="The file that --truth has written.", show_default=False)],
    *,
    api: Annotated[str, typer.Option(help="Where REST is.")] = "http://127.0.0.1:8080",
    window: Annotated[Window, typer.Option(help="How long a window is.")] = Window.FIVE_MINUTES,
    present: Annotated[
        Path | None, typer.Option(help="Score who was there now instead: the file that watch has written.")
    ] = None,
    marks: Annotated[
        bool,
        typer.Option(
            "--marks",
            help="Score marks instead, of a crowd with --spoofers; needs DEVICE_KEY or DATA_DIR of the system.",
        ),
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the fullest zones there, as SVG.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures there.")] = None,
) -> None:
    """Score counts; the help above is what people read."""
    settings = load_or_exit(ScoreSettings)
    kinds = kinds_or_exit(settings)
    try:
        about, visits = read_truth(truth)
        if marks:
            counts = Counts(api, key=settings.api_key.get_secret_value() if settings.api_key else None)
            _, figures = report_marks(truth, about, visits, counts, _hasher(settings))
            if json_file is not None:
                _write(json_file, figures.decode() + "\n")
            return
        if present is None:
            width_ms, label = nominal_ms[Width(window)], window.value
            windows = windows_of(about, width_ms)
            if not len(windows):
                command.fail(f"{truth}: it has no two whole windows of {window}, and the last one does not count")
            counts = Counts(api, key=settings.api_key.get_secret_value() if settings.api_key else None)
            counted = counts.counted(counts.zones(), kinds.ids, windows, window)
            true = true_counts(visits, windows)
        else:
            times, counted = seen(read_looks(present), about)
            if len(times) < FEWEST_LOOKS:
                command.fail(f"{present}: fewer than {FEWEST_LOOKS} looks are within the time of {truth}")
            width_ms, label = (times[-1] - times[0]) // (len(times) - 1), "now"
            windows = range(times[0], times[0] + width_ms * len(times), width_ms)
            true = truly_there(visits, times)
    except (BadTruthError, NoCountsError) as error:
        command.fail(str(error))
    found = scores(true, counted, width_ms)
    _show(found)
    if json_file is not None:
        report = _Report(
            start=format_rfc3339(windows.start),
            end=format_rfc3339(windows.stop),
            window=label,
            devices=about.devices,
            seed=about.seed,
            scores=found,
        )
        _write(json_file, msgspec.json.format(msgspec.json.encode(report), indent=1).decode() + "\n")
    if plot is not None:
        none = [0] * len(windows)
        drawn = [
            Drawn(
                f"{one.zone}, {kinds[one.kind].many}",
                true.get(Series(one.zone, one.kind), none),
                counted[Series(one.zone, one.kind)],
            )
            for one in found[:CHARTS]
        ]
        _write(plot, svg(drawn, windows, ZoneInfo(settings.campus_timezone)))


def _hasher(settings: ScoreSettings) -> DeviceHasher:
    """With the key of the system: one that is made now would be of no use."""
    file = settings.data_dir / "device.key"
    if settings.device_key is None and not file.exists():
        command.fail(f"the system knows devices by hashes: set DEVICE_KEY, or DATA_DIR to a folder with {file.name}")
    try:
        return device_hasher(settings)
    except BadSettingsError as error:
        command.fail(str(error), code=2)


def _show(found: list[Score]) -> None:
    table = Table("zone", "kind", title="counts beside the truth", box=box.SIMPLE_HEAD)
    for name in ("windows", "truth", "error", "bias", "within 10 %", "delay", "left out"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        if not one.windows and not one.left_out:
            continue
        share = 100 / one.truth if one.truth else 0
        table.add_row(
            one.zone,
            one.kind,
            str(one.windows),
            f"{one.truth:.1f}",
            f"{one.error:.1f} ({one.error * share:.0f} %)",
            f"{one.bias:+.1f} ({one.bias * share:+.0f} %)",
            f"{one.within:.0%}",
            "" if one.delay_minutes is None else f"{one.delay_minutes:+.1f} min",
            str(one.left_out),
        )
    # Whoever keeps it in a file wants it whole.
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        command.fail(f"{file}: {error.strerror or error}")
