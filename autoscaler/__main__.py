"""`python -m autoscaler`: how many brokers and decoders there should be."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from autoscaler.policy import Load, Scaler
from autoscaler.reading import decoder_lag
from autoscaler.settings import AutoscalerSettings
from core.clock import system_clock
from core.errors import BadSettings, Unavailable
from core.redis import open_redis
from core.settings import load_or_exit

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
Running = Annotated[int, typer.Option(min=0, help="How many run now.")]


@app.command()
def main(
    *,
    once: Annotated[bool, typer.Option("--once", help="Read the load once, and print what it would do.")] = False,
    brokers: Running = 2,
    decoders: Running = 2,
) -> None:
    """Say how many brokers and decoders the present load asks for. It acts on nothing.

    It reads from Redis how far the decoders are behind. Starting and stopping containers through the Docker Engine, and
    reading connections and message rates from HAProxy and the brokers, come later; until then you say how many run.

    For example: `python -m autoscaler --once --decoders 3`
    """
    settings = load_or_exit(AutoscalerSettings)
    if not once:
        raise typer.BadParameter("it does not run by itself yet: use --once")
    try:
        lag = asyncio.run(_read(settings))
    except (BadSettings, Unavailable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2 if isinstance(error, BadSettings) else 1) from error
    Console().print(_table(settings, Load(lag=lag), brokers=brokers, decoders=decoders))


async def _read(settings: AutoscalerSettings) -> int:
    async with open_redis(settings) as client:
        return await decoder_lag(client, settings.partitions)


def _table(settings: AutoscalerSettings, load: Load, *, brokers: int, decoders: int) -> Table:
    table = Table("service", "load", "running", "wanted", "would")
    for service, told, running, demand in (
        ("broker", "not read yet", brokers, load.brokers(settings)),
        ("decoder", f"{load.lag} entries behind", decoders, load.decoders(settings)),
    ):
        wanted = Scaler(settings=settings, clock=system_clock).decide(running=running, demand=demand)
        change = f"start {wanted - running}" if wanted > running else f"stop {running - wanted}"
        table.add_row(service, told, str(running), str(wanted), change if wanted != running else "do nothing")
    return table


if __name__ == "__main__":
    app()
