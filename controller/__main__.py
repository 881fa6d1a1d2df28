"""`python -m controller`: what runs becomes known, rules are applied, canaries walk."""

import asyncio
import platform
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import typer
from rich.console import Console
from rich.table import Table

from controller.applying import Applier
from controller.canary import Limits
from controller.canary_loop import CanaryLoop
from controller.docker_registry import DockerRegistry
from controller.faults import FaultTeller
from controller.file_registry import FileRegistry
from controller.keeping import KeeperSettings, keep
from controller.kubernetes_registry import KubernetesRegistry
from controller.measuring import HttpMeasures
from controller.metrics import ControllerMetrics
from controller.people import People
from controller.places import Placer
from controller.registry import Registry
from controller.settings import ControllerSettings, Stage
from controller.watching import Watcher
from core.clock import format_rfc3339, system_clock
from core.errors import UnavailableError
from core.versions import Route
from runtime import command
from runtime.failures import Failures
from runtime.haproxy_socket import HaproxySocket
from runtime.ops import serve_ops
from runtime.service import Stop, run, work_until_stopped
from runtime.settings import load_or_exit
from state.apps import AppStore, Instance
from state.client import open_redis
from state.faults import FaultStore
from state.layout import known_layout, once_known

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown", invoke_without_command=True
)


def registry_of(settings: ControllerSettings, session: aiohttp.ClientSession) -> Registry:
    """The registry that REGISTRY names."""
    if settings.registry == "docker":
        return DockerRegistry(session=session, url=settings.gate_url)
    if settings.registry == "kubernetes":
        return KubernetesRegistry(session=session, url=settings.kubernetes_url, namespace=settings.apps_namespace)
    return FileRegistry(session=session, folder=settings.registry_folder)


async def serve(settings: ControllerSettings, stop: Stop) -> None:
    """Run the chosen stages until `stop`."""
    metrics = ControllerMetrics()
    failures = Failures("controller", metrics.registry)
    async with AsyncExitStack() as resources:
        client = await resources.enter_async_context(open_redis(settings, "controller"))
        session = await resources.enter_async_context(aiohttp.ClientSession())
        store = AppStore(client)
        stages: dict[str, Callable[[Stop], Awaitable[None]]] = {}
        problems: list[Callable[[], str | None]] = [lambda: failures.problem]
        if Stage.REGISTRY in settings.chosen_stages:
            watcher = Watcher(
                registry=registry_of(settings, session),
                store=store,
                placer=Placer(store=store, clock=system_clock),
                clock=system_clock,
                every=settings.registry_every,
                metrics=metrics,
            )
            stages["registry"] = watcher.run
            problems.append(lambda: watcher.problem)
        if Stage.APPLY in settings.chosen_stages:
            applier = Applier(
                store=store,
                people=People(client),
                faults=FaultStore(client),
                socket=HaproxySocket(settings.haproxy_socket),
                folder=settings.routes_folder,
                name=platform.node(),
                every=settings.apply_every,
                clock=system_clock,
            )
            stages["apply"] = applier.run
            problems.append(lambda: applier.problem)
        if Stage.CANARY in settings.chosen_stages:
            canaries = CanaryLoop(
                store=store,
                measures=HttpMeasures(session),
                limits=Limits(
                    alpha=settings.canary_alpha,
                    least_errors=settings.canary_least_errors,
                    stalled_seconds=settings.canary_stalled,
                ),
                clock=system_clock,
                metrics=metrics,
            )
            stages["canary"] = canaries.run
            problems.append(lambda: canaries.problem)

        if Stage.FAULTS in settings.chosen_stages and settings.faults_keeper_url:
            teller = FaultTeller(
                store=FaultStore(client),
                session=session,
                url=settings.faults_keeper_url,
                every=settings.apply_every,
                clock=system_clock,
            )
            stages["faults"] = teller.run
            problems.append(lambda: teller.problem)

        def ready() -> str | None:
            return "; ".join(problem for ask in problems if (problem := ask()) is not None) or None

        failures.expects(stages)
        await resources.enter_async_context(
            serve_ops(settings, service="controller", ready=ready, registry=metrics.registry)
        )
        await work_until_stopped({name: once_known(client, stage) for name, stage in stages.items()}, stop, failures)


@app.callback()
def main(context: typer.Context) -> None:
    """Say what runs in which version, make HAProxy follow the rules, and walk canaries, until SIGTERM.

    Several processes may share the work: CONTROLLER_STAGES=apply beside each HAProxy, say.
    """
    if context.invoked_subcommand is None:
        settings = load_or_exit(ControllerSettings)
        run(lambda stop: serve(settings, stop), settings, name="controller")


@app.command("apps")
def list_apps() -> None:
    """Print what runs in which version, how healthy it is, and which share of people gets it.

    For example: `python -m controller apps`
    """
    settings = load_or_exit(ControllerSettings)
    try:
        instances, routes = asyncio.run(_look(settings))
    except UnavailableError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    Console().print(_table(instances, routes))


@app.command()
def keeper() -> None:
    """Stand between services and stores, and make there the faults that the controller asks for, each for its time.

    FAULTS_PROXIES says where: `decoder>redis=0.0.0.0:16379=redis:6379`. Each fault ends by this process's own clock.
    """
    settings = load_or_exit(KeeperSettings)
    run(lambda stop: keep(settings, stop), settings, name="keeper")


@app.command("end-faults")
def end_faults() -> None:
    """End all faults on purpose now, also where the API is cut off from Redis and cannot.

    For example: `docker compose exec controller python -m controller end-faults`
    """
    settings = load_or_exit(ControllerSettings)
    try:
        count = asyncio.run(_end_faults(settings))
    except UnavailableError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"faults that were on, and end now: {count}")


async def _end_faults(settings: ControllerSettings) -> int:
    async with open_redis(settings, "controller") as client:
        await known_layout(client)
        store, now = FaultStore(client), system_clock()
        faults = await store.faults(now)
        await store.replace([], now=now)
        return len(faults)


async def _look(settings: ControllerSettings) -> tuple[list[Instance], dict[str, Route]]:
    async with aiohttp.ClientSession() as session, open_redis(settings, "controller") as client:
        await known_layout(client)
        instances = await registry_of(settings, session).instances()
        return instances, await AppStore(client).routes()


def _table(instances: list[Instance], routes: dict[str, Route]) -> Table:
    table = Table("app", "version", "share", "instance", "address", "healthy", "since")
    for each in sorted(instances, key=lambda each: (each.app, each.version, each.name)):
        route = routes.get(each.app)
        share = "no rule" if route is None else f"{route.shares.get(each.version, 0)} %"
        healthy = "yes" if each.healthy else "no"
        address = f"{each.address}:{each.port}"
        table.add_row(each.app, each.version, share, each.name, address, healthy, format_rfc3339(each.since))
    return table


if __name__ == "__main__":
    command.run(app, name="controller")
