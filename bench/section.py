"""What a comparison looks like: Markdown, for the page and for whoever runs it."""

import statistics
from collections.abc import Iterable, Sequence

from bench.results_file import ALL_CPU, Aim, Compared, Results

_FINE, _WHOLE = 1, 100
"""Figures below these are shown with three and two decimals."""
BUSY = 0.9
"""Share of a core from which the load generator itself may be what is measured."""
GENERATOR = "generator busy"
"""A figure that says what share of a core the load generator used."""


def section(results: Results, *, plot: str | None = None) -> str:
    """A comparison: aims, the figures beside ours, all other figures, notes, and how each was set up."""
    parts = [f"## {results.title}", f"`{results.repeat}`"]
    parts += [_list(_aim(results, aim) for aim in results.aims)] if results.aims else []
    parts += [f"![{results.title}]({plot})"] if plot else []
    parts += [_beside(results, each) for each in results.compared if results.measured]
    parts += [table for table in [_others(results)] if table]
    parts += [_list([*results.notes, *_seen(results)])]
    parts += [_set_up(results)] if results.configuration or results.versions else []
    return "\n\n".join(parts) + "\n"


def anchor(results: Results) -> str:
    """Where the section is on the page."""
    kept = "".join(each for each in results.title.lower() if each.isalnum() or each in " -_")
    return "#" + kept.replace(" ", "-")


def verdict(ratios: Sequence[float]) -> str:
    """What ratios of ours to another say, each of one round; that there is no difference where 1 is among them."""
    if not ratios:
        return ""
    spread = f"{number(min(ratios))} to {number(max(ratios))}"
    if min(ratios) <= 1 <= max(ratios):
        return f"no difference: the spread is larger ({spread})"
    return f"{number(statistics.median(ratios))} ({spread})"


def number(value: float) -> str:
    """A figure as it is written."""
    if value == round(value) or abs(value) >= _WHOLE:
        return f"{value:,.0f}"
    return f"{value:,.3f}" if abs(value) < _FINE else f"{value:,.2f}"


def spread(series: Sequence[float]) -> str:
    """The median, and what it lies between."""
    if not series:
        return ""
    if min(series) == max(series):
        return number(series[0])
    return f"{number(statistics.median(series))} ({number(min(series))} to {number(max(series))})"


def _beside(results: Results, compared: Compared) -> str:
    rows = [
        [
            name,
            *(number(cut(series)) for cut in (statistics.median, min, max)),
            "" if name == results.ours else verdict(results.ratios(compared.figure, name)),
        ]
        for name in results.measured
        if (series := results.series(name, compared.figure))
    ]
    head = [f"{compared.figure} ({compared.better} is better)", "median", "least", "most", f"{results.ours} / this"]
    return table(head, rows)


def _others(results: Results) -> str:
    """The figures that are not compared, and the CPU of each process; entries are the columns if they are few."""
    known = {each.figure for each in results.compared}
    names = dict.fromkeys(name for one in results.rounds for name in one.figures if name not in known)
    processes = dict.fromkeys(name for one in results.rounds for name in one.cpu)
    cells = {(name, figure): spread(results.series(name, figure)) for name in results.measured for figure in names} | {
        (name, f"{ALL_CPU}: {process}"): spread(
            [one.cpu[process] for one in results.rounds if one.entry == name and process in one.cpu]
        )
        for name in results.measured
        for process in processes
    }
    figures = list(dict.fromkeys(figure for _, figure in cells))
    if not figures:
        return ""
    if len(results.measured) < len(figures):
        return table(
            ["", *results.measured], [[each, *(cells[name, each] for name in results.measured)] for each in figures]
        )
    return table(["", *figures], [[name, *(cells[name, each] for each in figures)] for name in results.measured])


def _aim(results: Results, aim: Aim) -> str:
    value = results.reached(aim)
    if value is None:
        return f"{aim.text}: not measured"
    limit = (aim.least if aim.least is not None else aim.most) or 0.0
    text = f"{aim.text}: **{'reached' if aim.is_reached(value) else 'MISSED'}**, {number(value)}"
    if limit and value != limit:
        text += f", {abs(value - limit) / limit:.0%} {'above' if value > limit else 'below'} it"
    ratios = results.ratios(aim.figure, aim.over) if aim.over else []
    return text + ("; no difference: the spread is larger" if ratios and min(ratios) <= 1 <= max(ratios) else "")


def _seen(results: Results) -> list[str]:
    """What the rounds themselves say of how far they can be believed."""
    loads = [one.load for one in results.rounds]
    lines = [f"not measured, or not in each round: {name}: {reason}" for name, reason in results.reasons.items()]
    busy = [name for name in results.measured if max(results.series(name, GENERATOR), default=0) > BUSY]
    if busy:
        lines.append(f"the load generator used nearly a core, so this is perhaps its figure: {', '.join(busy)}")
    if loads:
        counts = [sum(one.entry == name for one in results.rounds) for name in results.measured]
        rounds = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else f"{counts[0]}"
        lines.append(
            f"{rounds} rounds, shuffled with seed {results.seed}; load average {min(loads):.1f} to {max(loads):.1f};"
            f" {results.machine}"
        )
    return lines


def _set_up(results: Results) -> str:
    rows = [
        [name, results.versions.get(name, ""), results.configuration.get(name, "")]
        for name in results.entries
        if name in results.configuration or name in results.versions
    ]
    return table(["", "version", "set up"], rows)


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown that can be read as it is."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
