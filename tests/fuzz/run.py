"""`make fuzz`: a coverage-guided fuzzer (Atheris, libFuzzer) for each target, in turn, with what it found kept apart.

A target that fails prints the bytes, leaves them in `--artifacts`, and ends the run with a failure.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tests.fuzz.seeds import SEEDS

MAX_BYTES = 10_000
CUTS = (0, 6, 255)
"""How the seeds are cut; the fuzzer finds the others."""
MAX_MEGABYTES = 1024
SLOW_SECONDS = 5
"""An input that takes longer is a finding, too."""

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def run(
    minutes: Annotated[float, typer.Option(help="For all targets together.")] = 1.0,
    artifacts: Annotated[Path, typer.Option(help="Where inputs that fail are left.")] = Path("fuzz-findings"),
    target: Annotated[list[str] | None, typer.Option(help="Only these; unset: all.")] = None,
) -> None:
    """Fuzz."""
    names = target or list(SEEDS)
    if unknown := set(names) - set(SEEDS):
        raise typer.BadParameter(f"no target {', '.join(sorted(unknown))}; there are {', '.join(SEEDS)}")
    artifacts.mkdir(parents=True, exist_ok=True)
    failed = [name for name in names if not _fuzz(name, max(1, int(60 * minutes / len(names))), artifacts)]
    if failed:
        typer.echo(f"failed: {', '.join(failed)}; the inputs are in {artifacts}", err=True)
        raise typer.Exit(1)


def _fuzz(name: str, seconds: int, artifacts: Path) -> bool:
    typer.echo(f"{name}: {seconds} s")
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(SEEDS[name]()):
            for cut in CUTS:
                beginning = bytes((cut,))
                (Path(folder) / f"{number}-{cut}").write_bytes(beginning + seed)
        # A process of its own: libFuzzer ends the one that it runs in.
        command = [
            *(sys.executable, "-m", "tests.fuzz.one_target", name, folder),
            f"-max_total_time={seconds}",
            f"-max_len={MAX_BYTES}",
            f"-rss_limit_mb={MAX_MEGABYTES}",
            f"-timeout={SLOW_SECONDS}",
            f"-artifact_prefix={artifacts}/{name}-",
            "-print_final_stats=1",
            "-verbosity=0",
        ]
        return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    app()
