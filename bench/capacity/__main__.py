"""`python -m bench.capacity`: how many masters, nodes and decoders a campus needs, and what is at its end first.

python -m bench.capacity --devices 1000000 --every 30    from the unit costs of bench/capacity/units.json
python -m bench.capacity --check                         holds the model against two sizes that it measures: minutes

The unit costs are measured by `python -m bench.state --write-units`. docs/scaling.md explains the model.
"""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.capacity.check import WITHIN, compare_sizes
from bench.capacity.model import Campus, Plan, limits, plan
from bench.capacity.units import Units, load_units
from bench.quick import Quick, ResultsFile, keep

_console = Console(highlight=False, soft_wrap=True)


def main(
    *,
    devices: Annotated[int, typer.Option(min=1, help="Connected at the busiest time.")] = 20_000,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two positions of a device.")] = 30.0,
    zones: Annotated[int, typer.Option(min=1, max=10_000, help="Zones, the campus included.")] = 22,
    hours: Annotated[float, typer.Option(min=0.1, max=24, help="How long a device is there on a day.")] = 8.0,
    masters: Annotated[int | None, typer.Option(min=1, help="As many as that, instead of as many as it takes.")] = None,
    check: Annotated[bool, typer.Option(help="Hold the model against two sizes that are measured.")] = False,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Say what a campus of that size needs. Needs nothing but the file of unit costs; --check needs redis-server."""
    try:
        units = load_units()
    except FileNotFoundError as error:
        raise SystemExit(f"{error.filename} is missing: python -m bench.state --write-units measures it") from error
    if check and not quick:
        wrong = _check(units)
        raise SystemExit(1 if wrong else 0)
    campus = Campus(devices=devices, every=every, zones=zones, hours=hours)
    found = plan(campus, units, masters=masters)
    _show(found)
    table = Table("at its end first", "devices", title="with everything else as it is")
    table.columns[1].justify = "right"
    for limit in limits(campus, units):
        table.add_row(limit.what, f"{limit.devices:,}")
    _console.print(table)
    _console.print(f"unit costs of {units.machine}")
    keep(asdict(found), results)


def _show(found: Plan) -> None:
    campus = found.campus
    table = Table(
        "what", "", title=f"{campus.devices:,} devices, a position each {campus.every:g} s, {campus.zones:,} zones"
    )
    table.columns[1].justify = "right"
    for what, value in (
        ("messages a second", f"{campus.rate:,.0f}"),
        ("masters of Redis (each with a replica)", f"{found.masters:,}"),
        ("PARTITIONS", f"{found.partitions:,}"),
        ("broker nodes", f"{found.nodes:,}"),
        ("decoder processes", f"{found.decoders:,}"),
        ("memory of all masters, GB", f"{found.memory_bytes / 1e9:,.1f}"),
        ("of it for connections, on one master, GB", f"{found.mqtt_bytes / 1e9:,.2f}"),
        ("busiest master, of one processor", f"{found.redis_share:.0%}"),
        ("of it for connections", f"{found.mqtt_share:.0%}"),
        ("Redis for a message, us", f"{found.redis_us:,.1f}"),
        ("messages of an entry", f"{found.batch:,.1f}"),
        ("decoder for a message, us", f"{found.decoder_us:,.1f}"),
        ("windows written a second", f"{found.windows_per_second:,.0f}"),
        ("a look of the API, ms", f"{found.look_ms:,.1f}"),
    ):
        table.add_row(what, value)
    _console.print(table)


def _check(units: Units) -> list[str]:
    table = Table("size", "what", "model", "measured", "apart", title="the model against what is measured")
    wrong = []
    for each in compare_sizes(units):
        table.add_row(each.size, each.what, f"{each.model:,.2f}", f"{each.measured:,.2f}", f"{each.apart:+.0%}")
        if abs(each.apart) > WITHIN:
            wrong.append(each.what)
    _console.print(table)
    _console.print(f"within {WITHIN:.0%}: {'all' if not wrong else 'NOT ' + ', '.join(wrong)}")
    return wrong


if __name__ == "__main__":
    typer.run(main)
