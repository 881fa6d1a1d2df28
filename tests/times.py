"""How long each part of the tests took: `python -m tests.times REPORT.xml`, of `pytest --junitxml REPORT.xml`.

Seconds are added up over all workers: what a part costs, not how long one waits for it.
"""

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

_PART = 1


def seconds_by_part(report: Path) -> dict[str, tuple[int, float]]:
    """Tests and seconds by folder of tests/, the most first."""
    # Our own file, of a run of a moment ago.
    cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314
    found: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for case in cases:
        names = (case.get("classname") or "").split(".")
        part = names[_PART] if len(names) > _PART else "?"
        count, seconds = found[part]
        found[part] = count + 1, seconds + float(case.get("time") or 0)
    return dict(sorted(found.items(), key=lambda each: -each[1][1]))


if __name__ == "__main__":
    for part, (count, seconds) in seconds_by_part(Path(sys.argv[1])).items():
        print(f"{part:16}{count:6}{seconds:9.1f} s")  # noqa: T201 - it is a command
