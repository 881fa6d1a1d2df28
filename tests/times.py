"""How long each part of the tests took: `python -m tests.times REPORT.xml`, of `pytest --junitxml REPORT.xml`.

Seconds are added up over all workers: what a part costs, not how long one waits for it. A file is done by one worker,
so the longest files say how short a run can be.
"""

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

LONGEST = 15
"""Files that are shown."""


def seconds_by(report: Path, name: Callable[[str], str]) -> dict[str, tuple[int, float]]:
    """Tests and seconds by what `name` makes of the module of a test, the most first."""
    # Our own file, of a run of a moment ago.
    cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314
    found: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for case in cases:
        part = name(case.get("classname") or "?")
        count, seconds = found[part]
        found[part] = count + 1, seconds + float(case.get("time") or 0)
    return dict(sorted(found.items(), key=lambda each: -each[1][1]))


def folder(module: str) -> str:
    """The folder below `tests` that a module is in."""
    return module.removeprefix("tests.").partition(".")[0]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    files = list(seconds_by(path, str).items())[:LONGEST]
    for part, (count, seconds) in [*seconds_by(path, folder).items(), ("", (0, 0.0)), *files]:
        print(f"{part:56}{count:6}{seconds:9.1f} s" if part else "")  # noqa: T201 - it is a command
