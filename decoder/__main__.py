"""`python -m decoder`: turns what brokers accepted into documents and occupancy."""

from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog
import typer

import documents
import timeseries
from core.clock import system_clock
from core.errors import BadSettingsError
from decoder import dead_letters_command, keys_command
from decoder.export import ExportTarget
from decoder.export_settings import Target
from decoder.metrics import DecoderMetrics
from decoder.series import questions_to_stores, stages_that_wait
from decoder.settings import Archive, DecoderSettings, Stage
from decoder.stages import Assembly, Stages
from geofence import Campus, InvalidCampusError, load_campus
from runtime import command
from runtime.devices import device_hasher
from runtime.failures import Failures
from runtime.ops import serve_ops
from runtime.service import Stop, run, work_until_stopped
from runtime.settings import load_or_exit
from runtime.tracing import open_tracing
from state.client import open_redis
from state.command import ask_redis
from state.keys_redis import open_keys_redis
from state.lake import LakeOrders
from state.layout import once_agreed
from state.sealing import open_sealing

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(dead_letters_command.app, name="dead-letters")
app.add_typer(keys_command.app, name="keys")
_log = structlog.stdlib.get_logger("decoder")
MINOR_STAGES = frozenset(
    {"refusals", "judge", "export-off", "export-patience", "export-gaps", "lake-orders", "lake-upkeep"}
)
"""Without them all is counted the same."""


async def serve(settings: DecoderSettings, stop: Stop) -> None:
    """Run the chosen stages until `stop`."""
    kinds = settings.kinds()
    metrics = DecoderMetrics(
        stages=stages_that_wait(settings),
        partitions=settings.partitions,
        stores=questions_to_stores(settings),
        targets=settings.targets,
    )
    failures = Failures("decoder", metrics.registry, minor=MINOR_STAGES)
    async with AsyncExitStack() as resources:
        client = await resources.enter_async_context(open_redis(settings, "decoder"))
        is_open = settings.policy.is_open
        if Stage.OBSERVE in settings.chosen_stages:
            # The other stages neither seal nor open, so whoever runs those alone is told of no keys.
            await resources.enter_async_context(open_sealing(settings, client, "decoder", is_open=is_open))
        tracing = await resources.enter_async_context(
            open_tracing(settings, service="decoder", node=settings.decoder_name, registry=metrics.registry)
        )
        assembly = Assembly(
            settings=settings, kinds=kinds, client=client, clock=system_clock, metrics=metrics, tracing=tracing
        )
        stages: Stages = assembly.watch()
        if Stage.OBSERVE in settings.chosen_stages:
            campus = _campus(settings)
            rotates = settings.who_is_who.rotates
            # Where keys rotate no more, those that are left have their ends, too.
            with_keys = rotates or settings.has_keys_redis
            keys = await resources.enter_async_context(open_keys_redis(settings, "decoder")) if with_keys else None
            stages |= assembly.observe(campus, device_hasher(settings, rotates=rotates), keys)
            _log.info("campus", name=campus.boundary.name, zones=len(campus.zones), version=campus.version)
        if Stage.EXPORT in settings.chosen_stages:
            stages |= await _export(settings, assembly, metrics, resources)
        if settings.chosen_stages & {Stage.ARCHIVE, Stage.EXPORT}:
            stages |= assembly.export_upkeep()
        if settings.chosen_stages & {Stage.ARCHIVE, Stage.JUDGE}:
            positions = await resources.enter_async_context(documents.open_store(settings))
            if Stage.ARCHIVE in settings.chosen_stages:
                stages |= assembly.archive(positions)
            if Stage.JUDGE in settings.chosen_stages:
                stages |= assembly.judge(positions)
        if Stage.ROLLUP in settings.chosen_stages:
            store = await resources.enter_async_context(timeseries.open_store(settings))
            stages |= assembly.rollup(store) | assembly.coverage(store, _campus(settings))
        if Stage.RELEASE in settings.chosen_stages:
            released = await resources.enter_async_context(timeseries.open_store(settings, released=True))
            stages |= assembly.release(released, _campus(settings))
        failures.expects(stages)
        await resources.enter_async_context(
            serve_ops(
                settings,
                service="decoder",
                ready=lambda: failures.problem or assembly.redis.problem or metrics.waiting,
                remark=lambda: metrics.building,
                registry=metrics.registry,
            )
        )
        _log.info("decoding", name=settings.decoder_name, stages=settings.stages, partitions=settings.partitions)
        agreed = {name: once_agreed(client, settings.partitions, stage) for name, stage in stages.items()}
        await work_until_stopped(agreed, stop, failures)
    _log.info("stopped", name=settings.decoder_name)


async def _export(
    settings: DecoderSettings, assembly: Assembly, metrics: DecoderMetrics, resources: AsyncExitStack
) -> Stages:
    """The stages of each target of EXPORT; what only they need is imported here, for most decoders do not have it."""
    targets: list[ExportTarget] = []
    stages: Stages = {}
    hurry: Callable[[], bool] = bool  # never
    if not settings.targets:
        raise BadSettingsError("EXPORT: STAGES has export, and there is nothing to do: say parquet, kafka or both")
    if Target.PARQUET in settings.targets:
        try:
            from decoder.export_parquet import LakeTarget  # noqa: PLC0415 - pyarrow
            from lake.store import open_lake  # noqa: PLC0415
        except ImportError as error:
            raise BadSettingsError(f"EXPORT: parquet needs the extra `lake`: {error}") from error
        lake = open_lake(settings, settings.data_dir)
        targets.append(LakeTarget(lake, metrics))
        keeper = assembly.lake_keeper(lake)
        hurry = keeper.hurry
        stages |= assembly.export_gaps(lake)
        stages |= {"lake-orders": keeper.carry_out_orders, "lake-upkeep": keeper.keep_up}
        if settings.archive is Archive.OFF:
            _log.warning("with ARCHIVE=off there are no documents to fill gaps of the lake from")
    if Target.KAFKA in settings.targets:
        try:
            from decoder.export_kafka import open_kafka  # noqa: PLC0415 - librdkafka
        except ImportError as error:
            raise BadSettingsError(f"EXPORT: kafka needs the extra `kafka`: {error}") from error
        targets.append(await resources.enter_async_context(open_kafka(settings, settings.partitions)))
    return assembly.export(targets, hurry=hurry) | stages


def _campus(settings: DecoderSettings) -> Campus:
    try:
        return load_campus(settings.campus_file)
    except InvalidCampusError as error:
        raise BadSettingsError(f"CAMPUS_FILE: {error}") from error


@app.callback(invoke_without_command=True)
def decode(context: typer.Context) -> None:
    """Decode until SIGTERM. Settings come from the environment: REDIS_URL, STAGES, CAMPUS_FILE, DOCUMENT_STORE, ...

    With one process a stage: STAGES=observe python -m decoder, STAGES=archive python -m decoder, and so on.
    """
    if context.invoked_subcommand is None:
        settings = load_or_exit(DecoderSettings)
        run(lambda stop: serve(settings, stop), settings, name="decoder", node=settings.decoder_name)


@app.command("lake-gone")
def lake_gone() -> None:
    """Say that the lake was removed: an erasure does not wait for its keeper any more.

    It is for when EXPORT has no parquet any more, and its files are deleted: before, nobody erases devices from them.
    """
    ask_redis(lambda client, _: LakeOrders(client).lake_gone(), user="decoder")


if __name__ == "__main__":
    command.run(app, name="decoder")
