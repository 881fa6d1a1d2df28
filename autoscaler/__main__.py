"""`python -m autoscaler`: as many brokers and decoders as the load asks for; `gate`: its narrow way to the Engine."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import aiohttp
import typer
from rich.console import Console
from rich.table import Table

from autoscaler.engine import DockerEngine
from autoscaler.fleet import Fleet, Wish
from autoscaler.gate import serve_gate
from autoscaler.haproxy import RuntimeSocket
from autoscaler.loop import Autoscaler
from autoscaler.metrics import AutoscalerMetrics
from autoscaler.nodes import HttpNodes
from autoscaler.policy import Load
from autoscaler.reading import Reader, decoder_lag
from autoscaler.settings import AutoscalerSettings, GateSettings
from core.clock import system_clock
from core.errors import BadSettingsError
from runtime import command
from runtime.failures import Failures
from runtime.logs import configure_logs
from runtime.ops import serve_ops
from runtime.service import Stop, run, work_until_stopped
from runtime.settings import load_or_exit
from state.client import open_redis

ONCE_SECONDS = 1.0
"""Between two looks, which a message rate needs."""

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown", invoke_without_command=True
)


@asynccontextmanager
async def open_autoscaler(
    settings: AutoscalerSettings, metrics: AutoscalerMetrics, *, dry_run: bool
) -> AsyncIterator[Autoscaler]:
    """All that it works with; opening waits for nothing."""
    proxy = RuntimeSocket(settings.haproxy_socket)
    engine = DockerEngine(address=settings.docker_host, project=settings.compose_project)
    # A request for each is more than the log wants to know.
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    async with open_redis(settings, "autoscaler") as client, aiohttp.ClientSession() as session:
        nodes = HttpNodes(session=session, port=settings.broker_ops_port)
        reader = Reader(
            engine=engine,
            proxy=proxy,
            nodes=nodes,
            lag=lambda: decoder_lag(client, settings.partitions),
            clock=system_clock,
        )
        fleets = {
            service: Fleet(
                service=service,
                engine=engine,
                proxy=proxy if service == "broker" else None,
                settings=settings,
                metrics=metrics,
                clock=system_clock,
                dry_run=dry_run,
            )
            for service in ("broker", "decoder")
        }
        try:
            yield Autoscaler(reader=reader, fleets=fleets, metrics=metrics, interval=settings.scale_interval)
        finally:
            await engine.close()


async def serve(settings: AutoscalerSettings, stop: Stop, *, dry_run: bool) -> None:
    """Scale until `stop`. What is half done then is finished by whoever looks next."""
    metrics = AutoscalerMetrics()
    failures = Failures("autoscaler", metrics.registry)
    failures.expects(["autoscaler"])
    async with (
        open_autoscaler(settings, metrics, dry_run=dry_run) as autoscaler,
        serve_ops(
            settings,
            service="autoscaler",
            ready=lambda: failures.problem or autoscaler.problem,
            registry=metrics.registry,
        ),
    ):
        await work_until_stopped({"autoscaler": autoscaler.run}, stop, failures)


@app.callback()
def main(
    context: typer.Context,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Look once, print what it would do, and do nothing.")] = False,
) -> None:
    """Start and stop brokers and decoders, as the load asks for, until SIGTERM.

    Brokers follow open connections (from HAProxy) and messages a second (from the nodes), decoders what waits for them
    in Redis. More are started at once, as containers like those that run; one is taken away when the load has been low
    for all of SCALE_COOL_DOWN: it leaves HAProxy's rotation, drains, ends and is removed, the newest first.

    For example, to see what it would do: `python -m autoscaler --dry-run`
    """
    if context.invoked_subcommand is not None:
        return
    settings = load_or_exit(AutoscalerSettings)
    if once:
        raise typer.Exit(_look_once(settings))
    run(lambda stop: serve(settings, stop, dry_run=dry_run), settings, name="autoscaler")


@app.command()
def gate() -> None:
    """Let through to the Docker Engine what the autoscaler needs, and nothing else.

    Only this process has the Engine's socket. It serves the few requests that list, start, stop and clone brokers and
    decoders of COMPOSE_PROJECT; everything else is answered with 403. Whoever takes over the autoscaler can start no
    other container, none with other rights, and touch no other.
    """
    settings = load_or_exit(GateSettings)
    run(lambda stop: serve_gate(settings, stop), settings, name="gate")


def _look_once(settings: AutoscalerSettings) -> int:
    # There is no time to see whether the load stays as low as it is.
    settings = settings.model_copy(update={"log_level": "error", "scale_cool_down": 0})
    configure_logs(settings, service="autoscaler", node=settings.service_node)

    async def look() -> tuple[Autoscaler, Load | None, dict[str, Wish]]:
        async with open_autoscaler(settings, AutoscalerMetrics(), dry_run=True) as autoscaler:
            await autoscaler.step()
            await asyncio.sleep(ONCE_SECONDS)
            seen, wishes = await autoscaler.step()
            return autoscaler, seen.load if seen else None, wishes

    try:
        autoscaler, load, wishes = asyncio.run(look())
    except BadSettingsError as error:
        typer.echo(str(error), err=True)
        return 2
    if load is not None:
        Console().print(_table(load, wishes))
    if autoscaler.problem:
        typer.echo(autoscaler.problem, err=True)
    return 1 if load is None else 0


def _table(load: Load, wishes: dict[str, Wish]) -> Table:
    def known(value: float | None, unit: str) -> str:
        return f"unknown {unit}" if value is None else f"{value:.0f} {unit}"

    table = Table("service", "load", "running", "wanted", "would")
    for service, told in (
        ("broker", f"{known(load.connections, 'connections')}, {known(load.messages, 'messages/s')}"),
        ("decoder", known(load.lag, "entries behind")),
    ):
        wish = wishes[service]
        change = wish.wanted - wish.running
        would = f"start {change}" if change > 0 else f"stop {-change}" if change else "do nothing"
        table.add_row(service, told, str(wish.running), str(wish.wanted), would)
    return table


if __name__ == "__main__":
    command.run(app, name="autoscaler")
