"""What HAProxy has counted of each place, from `show stat` and from its table `figures`."""

import csv
import re
from typing import Final

from controller.places import place_of
from core.versions import BROKER
from state.apps import Counters

TIMES: Final = 10
"""Counts of answers by how long they took."""
_STATUS: Final = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
_ENTRY: Final = re.compile(r"key=(?P<backend>\S+)(?P<rest>.*)")
_COUNT: Final = re.compile(r"gpc(?P<index>\d+)=(?P<count>\d+)")


def read(statistics: str, table: str) -> dict[int, Counters]:
    """The counters by place. Errors are answers 5xx, HAProxy's own among them.

    Of the broker's places there are connections instead, and those that did not come about.
    """
    times = dict(_times(table))
    found = {}
    for row in csv.DictReader(statistics.removeprefix("# ").splitlines()):
        place = place_of(row.get("pxname") or "")
        if place is None or row["svname"] != "BACKEND":
            continue
        if row["pxname"].startswith(BROKER):
            found[place] = Counters(answers=_number(row["stot"]), errors=_number(row["econ"]))
        else:
            answers = sum(_number(row[name]) for name in _STATUS)
            by_time = times.get(place, (0,) * TIMES)
            found[place] = Counters(answers=answers, errors=_number(row["hrsp_5xx"]), by_time=by_time)
    return found


def _times(table: str) -> list[tuple[int, tuple[int, ...]]]:
    found = []
    for line in table.splitlines():
        entry = _ENTRY.search(line)
        place = place_of(entry["backend"]) if entry else None
        if entry is not None and place is not None:
            counts = {int(each["index"]): int(each["count"]) for each in _COUNT.finditer(entry["rest"])}
            found.append((place, tuple(counts.get(index, 0) for index in range(TIMES))))
    return found


def _number(text: str) -> int:
    return int(text or 0)
