"""The jobs: what they are called, what they give, and their SQL, which is the same for every engine."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa

Job = Literal["visits", "flows", "paths", "profiles"]
JOBS: tuple[Job, ...] = get_args(Job)
CHECK = "visits_check"
"""What finds hours of which the visits do not add up; no job of its own."""
_FOLDER = Path(__file__).parent
_PARAMETER = re.compile(r"(?<![:\w]):([a-z]+)\b")


def _schema(keys: tuple[str, ...], counts: tuple[str, ...], measures: tuple[str, ...] = ()) -> pa.Schema:
    return pa.schema(
        [
            *(pa.field(name, pa.string(), nullable=False) for name in keys),
            pa.field("at", pa.int64(), nullable=False),  # milliseconds since the epoch
            *(pa.field(name, pa.int64(), nullable=False) for name in counts),
            *(pa.field(name, pa.float64()) for name in measures),
        ]
    )


_OF_A_ZONE = ("zone", "kind", "other")
RESULTS: Mapping[str, pa.Schema] = {
    "visits": _schema(
        _OF_A_ZONE,
        ("entries", "exits", "devices", "visits", "dwell_devices", "cut"),
        ("dwell_q1", "dwell_median", "dwell_q3"),
    ),
    "flows": _schema(_OF_A_ZONE, ("count", "devices")),
    "paths": _schema(("path", "kind"), ("zones", "count", "devices")),
    "profiles": _schema(_OF_A_ZONE, ("hours",), ("q1", "median", "q3")),
    CHECK: _schema(_OF_A_ZONE, ("entries", "exits", "before", "after")),
}
"""The columns of what each job gives: `analytics.running.run_job` says what they mean."""


def text(name: str, **parameters: int) -> str:
    """The SQL of a job or of a step, with its parameters, which are whole numbers and nothing else, filled in.

    Raises KeyError for a parameter that is not given.
    """
    sql = (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    bare = "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    return _PARAMETER.sub(lambda found: str(int(parameters[found[1]])), bare)
