"""What came of a load, for people."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from simulator.load.measured import Latency
from simulator.load.run import Summary


def shown(summary: Summary) -> RenderableType:
    """Counts, and two distributions."""
    counts = Table(box=box.SIMPLE_HEAD, title=f"{summary.rate:g}/s over {summary.over}")
    for name in ("connections", "due", "sent", "answered", "not answered", "answered/s", "generator"):
        counts.add_column(name, justify="right", no_wrap=True)
    counts.add_row(
        f"{summary.connections}",
        f"{summary.due:,}",
        f"{summary.sent:,}",
        f"{summary.answered:,}",
        f"{summary.sent - summary.answered:,}",
        f"{summary.answered_a_second:,.0f}",
        f"{summary.generator_cpu:.2f} cores",
    )
    times = Table(box=box.SIMPLE_HEAD)
    for name in ("milliseconds", "p50", "p90", "p99", "p99.9", "most"):
        times.add_column(name, justify="left" if name == "milliseconds" else "right", no_wrap=True)
    times.add_row("from due to answer", *_figures(summary.latency_ms))
    times.add_row("from due to sent", *_figures(summary.lateness_ms))
    said = [f"answered with {answer}: {count:,}" for answer, count in sorted(summary.answers.items())]
    said += [f"connections broken, {why}: {count:,}" for why, count in sorted(summary.broken.items())]
    if summary.generator_was_the_limit:
        said.append("the generator was the limit: these figures say nothing of the server")
    return Group(counts, times, *said)


def _figures(latency: Latency) -> list[str]:
    return [f"{value:,.1f}" for value in (latency.p50, latency.p90, latency.p99, latency.p99_9, latency.max)]
