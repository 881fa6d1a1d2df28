"""Which benchmarks there are: found by looking, so that none is forgotten."""

import re
from collections.abc import Iterator
from pathlib import Path

BENCH = Path(__file__).parent
NO_BENCHMARKS = {
    "bench": "runs the others",
    "bench.campus": "writes a campus file",
    "bench.api.constant": "the peer of bench.api, which starts it",
    "bench.pages": "writes docs/benchmarks.md",
    "bench.pipelines.postgis_subscriber": "one of the pipelines that bench.pipelines starts",
    "bench.pipelines.subscriber": "another one",
    "bench.state.appender": "what bench.state starts, of this version and of another",
}
"""Programs of bench/ that measure nothing by themselves."""
COMMANDS = {"bench.influxdb": ("write", "history")}
"""Those that have several."""
_RUNS = re.compile(r"^if __name__ ==", re.MULTILINE)


def programs() -> list[str]:
    """The modules of bench/ that can be run, benchmarks or not."""
    return [
        ".".join(("bench", *path.relative_to(BENCH).with_suffix("").parts)).removesuffix(".__main__")
        for path in sorted(BENCH.rglob("*.py"))
        if _RUNS.search(path.read_text(encoding="utf-8"))
    ]


def benchmarks() -> Iterator[tuple[str, ...]]:
    """What `python -m` runs: a module, and its command where it has several."""
    for program in programs():
        if program in COMMANDS:
            yield from ((program, command) for command in COMMANDS[program])
        elif program not in NO_BENCHMARKS:
            yield (program,)
