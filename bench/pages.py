"""Writes docs/benchmarks.md, and its plots, of what is in bench/results.

python -m bench.pages
"""

import statistics
from collections.abc import Mapping
from pathlib import Path

import typer

from bench.bars import bars
from bench.plot import Chart, svg
from bench.quick import RESULTS
from bench.results_file import Results, read
from bench.section import anchor, section, table, verdict

PAGE = RESULTS.parents[1] / "docs" / "benchmarks.md"
_HEAD = """\
# Benchmarks

This page is written by `python -m bench.pages`, of the files in [bench/results](../bench/results); `make bench` runs
everything and ends with it. [What the hot state costs](scaling.md#what-was-measured) is on a page of its own.

How to read it:

- **All that is compared ran in one run**, by turns, in an order that was shuffled anew for each round. A ratio is taken
  within a round; what stands there is the median of these ratios, with the least and the most. Where they lie on both
  sides of 1 it says *no difference: the spread is larger*.
- **The machine did other things meanwhile**: the load average of each run is told, and what it says above the number of
  processors had to wait. So rates are lower than on a machine of their own, by how much differs from minute to minute;
  ratios within a round, and CPU seconds for a million messages, say more than a rate does. CPU is that of all
  processes of an entry, their children too, and leaves the load generator out.
- **Each peer is set up as its own documentation advises**, and how that is stands below its figures. What keeps nothing
  does less than what keeps messages: look there before you compare.
- **An aim** stands with what was reached, and how far that is from it.

To repeat it: the line below a heading is its command; `make bench-broker`, `make bench-balance` and
`make bench-pipelines` build the peers first. The same `--seed` gives the same order of turns.
"""


def page(found: Mapping[str, Results], plots: Mapping[str, str]) -> str:
    """The page of results by name; `plots` are addresses of pictures as seen from it."""
    overview = table(
        ["comparison", "beside", "ours / this"],
        [
            [
                f"[{results.title}]({anchor(results)}): {first.figure}, {first.better} is better" if not number else "",
                other,
                verdict(results.ratios(first.figure, other)),
            ]
            for results in found.values()
            for first in results.compared[:1]
            for number, other in enumerate(results.measured[1:])
        ],
    )
    sections = [section(results, plot=plots.get(name)) for name, results in found.items()]
    return "\n".join([_HEAD, overview, "", *sections])


def plot(results: Results) -> str | None:
    """A picture of the first figure that is compared, or of curves where there are some."""
    if any(one.curve for one in results.rounds):
        lines = {name: _medians(results, name) for name in results.measured}
        return svg([Chart(results.title, "messages/s", "p99 of an acknowledgement, ms", lines)])
    series = {
        name: values
        for name in results.measured
        for first in results.compared[:1]
        if (values := results.series(name, first.figure))
    }
    return bars(f"{results.title}: {results.compared[0].figure}", series, results.ours) if series else None


def _medians(results: Results, name: str) -> list[tuple[float, float]]:
    at: dict[float, list[float]] = {}
    for one in results.rounds:
        if one.entry == name:
            for place, value in one.curve:
                at.setdefault(place, []).append(value)
    return [(place, statistics.median(values)) for place, values in sorted(at.items())]


def kept(folder: Path) -> dict[str, Results]:
    """All results of the common form in a folder, by name."""
    return {file.stem: found for file in sorted(folder.glob("*.json")) if (found := read(file))}


def main() -> None:
    """Write the page and its plots."""
    found = kept(RESULTS)
    plots = {}
    for name, results in found.items():
        if picture := plot(results):
            (RESULTS / f"{name}.svg").write_text(picture, encoding="utf-8")
            plots[name] = f"../bench/results/{name}.svg"
    PAGE.write_text(page(found, plots), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
