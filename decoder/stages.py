"""The stages put together: what the picture in docs/architecture.md shows."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from core.clock import Clock
from core.kinds import Kinds
from decoder.archive import Archiver, part_positions
from decoder.batch import BatchDecoder
from decoder.campus import CampusFollower
from decoder.consumer import Consumer, Work
from decoder.coverage import CoverageRecorder
from decoder.device_keys import KeyKeeper
from decoder.devices import DeviceHasher
from decoder.effects import Effects
from decoder.export import Exporting, ExportTarget, PositionExporter, WindowExporter
from decoder.export_patience import ExportOff, ExportPatience, Gaps, GapsMover
from decoder.export_settings import Target
from decoder.gathering import GatheringGroup
from decoder.housekeeping import Housekeeping
from decoder.judge import Judge
from decoder.metrics import DecoderMetrics
from decoder.observe import Observer
from decoder.redis_gauges import RedisGauges
from decoder.refusals import RefusalTeller
from decoder.release import Release
from decoder.released_windows import ReleasedWindows
from decoder.rollup import Rollup
from decoder.samples import Samples
from decoder.settings import Archive, DecoderSettings
from decoder.stage_retry import StageRetry
from decoder.traces import StageTraces
from documents import Building, DocumentStore, Retention
from geofence import Campus, Geofence
from runtime.service import Stop
from runtime.tracing import Tracing
from state.client import Redis
from state.dead_letters import DeadLetters, share
from state.durability import Writes
from state.group import Group
from state.judging import HoursToJudge
from state.raw import ARCHIVE_GROUP, EXPORT_GROUPS, Finisher, keys_of
from state.raw_group import RawGroup
from state.raw_redis import raw_redis
from state.refusals import Refusals
from state.server import RedisWatch
from state.sources import Sources
from state.window_stream import WINDOWS, WindowStream
from timeseries import OccupancyRetention, OccupancyStore, TimeseriesStore

if TYPE_CHECKING:
    from decoder.lake_keeper import LakeKeeper
    from lake.store import Lake

Stages = dict[str, Callable[[Stop], Awaitable[None]]]
LEAST_GATHERED = 500
"""Positions of one partition that may be gathered, however many partitions there are."""


class Assembly:
    """Makes the stages of one process from its settings and resources."""

    def __init__(
        self,
        *,
        settings: DecoderSettings,
        kinds: Kinds,
        client: Redis,
        clock: Clock,
        metrics: DecoderMetrics,
        tracing: Tracing | None = None,
    ) -> None:
        self._settings = settings
        self._kinds = kinds
        self._client = client
        self._clock = clock
        self._metrics = metrics
        self._traces = StageTraces(
            tracing,
            client=client,
            clock=clock,
            partitions=settings.partitions,
            timezone=ZoneInfo(settings.campus_timezone),
        )
        self._alone = asyncio.Lock()
        self._letters_each = share(settings.dead_letters_max, settings.partitions)
        self._dead_letters = DeadLetters(client, partitions=settings.partitions)
        self.redis = RedisWatch(client=client, registry=metrics.registry, reserve=settings.redis_reserve)

    def watch(self) -> Stages:
        """Beside the others: what Redis holds, as metrics."""
        gauges = RedisGauges(client=self._client, partitions=self._settings.partitions, metrics=self._metrics)
        return {"watch": gauges.run, "redis": self.redis.run}

    def observe(self, campus: Campus, hasher: DeviceHasher, keys: Redis | None = None) -> Stages:
        """From raw to presence, windows and positions: a consumer a partition, and what tidies up.

        `keys` is the Redis of keys, where there is one; there has to be where those of device hashes rotate.
        """
        settings = self._settings
        decoder = BatchDecoder(
            kinds=self._kinds,
            fence=Geofence(campus),
            hasher=hasher,
            rules=settings.rules(self._kinds),
            partitions=settings.partitions,
            presence_ttl=settings.presence_ttl,
            by_source=settings.who_is_who.source,
        )
        keeper = None if keys is None else self._key_keeper(keys, hasher)
        sources = Sources(self._client) if settings.who_is_who.source else None
        effects = Effects(
            client=self._client,
            partitions=settings.partitions,
            kinds=self._kinds,
            zone=ZoneInfo(settings.campus_timezone),
            away=hasher.away,
            presence_ttl=settings.presence_ttl,
            rollup_every=settings.rollup_every,
            dead_letters_max=self._letters_each,
            implausible_speed=settings.implausible_speed,
            settling=settings.settling,
            writes=Writes(self._client, durability=settings.durability, replicas=settings.replicas),
        )
        finisher = Finisher(client=self._client, partitions=settings.partitions, dead_letters_max=self._letters_each)
        follower = CampusFollower(
            client=self._client,
            decoder=decoder,
            kinds=self._kinds,
            file=campus,
            metrics=self._metrics,
            partitions=settings.partitions,
        )
        teller = RefusalTeller(
            refusals=Refusals(self._client),
            kinds=self._kinds,
            echo=settings.echo_refusals,
            metrics=self._metrics,
            seconds=time.monotonic,
        )
        stages: Stages = {"campus": follower.run, "refusals": teller.run}
        for partition in range(settings.partitions):
            group = RawGroup(
                client=self._client,
                partition=partition,
                partitions=settings.partitions,
                consumer=settings.decoder_name,
                claim_after_ms=int(settings.claim_after * 1000),
            )
            observer = Observer(
                partition=partition,
                decoder=decoder,
                campus=follower,
                effects=effects,
                finisher=finisher,
                clock=self._clock,
                metrics=self._metrics,
                teller=teller,
                traces=self._traces.observe(decoder, partition),
                keys=keeper,
                sources=sources,
                opened=group.opened,
            )
            consumer = self._consumer("observe", partition, group, observer, settings.observe_batch)
            stages[f"observe-{partition}"] = consumer.run
        stages["housekeeping"] = Housekeeping(
            client=self._client,
            partitions=settings.partitions,
            zones=lambda: decoder.fence.zone_ids,
            kinds=self._kinds,
            presence_ttl=settings.presence_ttl,
            forget_after=settings.forget_after,
            dead_letters_keep=settings.dead_letters_keep_ms,
            clock=self._clock,
            disk_problem=lambda: self.redis.disk_problem,
        ).run
        if keeper is not None:
            stages["device-keys"] = keeper.run
        return stages

    def _key_keeper(self, keys: Redis, hasher: DeviceHasher) -> KeyKeeper:
        return KeyKeeper(
            client=keys,
            hasher=hasher,
            rotation=self._settings.who_is_who.rotation,
            zone=ZoneInfo(self._settings.campus_timezone),
            clock=self._clock,
            metrics=self._metrics,
        )

    def archive(self, store: DocumentStore) -> Stages:
        """From positions to documents: one consumer for each partition."""
        stages: Stages = {}
        samples = Samples()
        every = self._settings.archive is Archive.EVERY
        hours = HoursToJudge(self._client, keep_ms=self._settings.marks_keep_ms) if every else None
        for partition in range(self._settings.partitions):
            group = Group(
                client=raw_redis(self._client),
                stream=keys_of(partition, self._settings.partitions).positions,
                group=ARCHIVE_GROUP,
                consumer=self._settings.decoder_name,
                claim_after_ms=int(self._settings.claim_after * 1000),
            )
            archiver = Archiver(
                dead_letters=self._dead_letters,
                group=group,
                store=store,
                clock=self._clock,
                metrics=self._metrics,
                dead_letters_max=self._letters_each,
                samples=samples,
                hours=hours,
                archive=self._settings.archive,
                part=part_positions(self._settings.cloudant_writes_per_second),
                partition=partition,
                traces=None if self._settings.archive is Archive.OFF else self._traces.archive(partition),
            )
            consumer = self._consumer("archive", partition, group, archiver, self._settings.archive_batch)
            if self._settings.archive is Archive.OFF:
                stages[f"archive-{partition}"] = consumer.run
            else:
                setup = self._setup(store, "documents")
                stages[f"archive-{partition}"] = self._after(setup, "archive", consumer.run, partition=partition)
        if self._settings.archive is not Archive.OFF or self._settings.documents_keep:
            stages["indexes"] = Building(store, say=self._metrics.builds).run
            retention = Retention(store=store, keep_ms=self._settings.documents_keep_ms, clock=self._clock)
            stages["retention"] = retention.run
        return stages

    def rollup(self, store: OccupancyStore) -> Stages:
        """From dirty windows to points of the occupancy series."""
        rollup = Rollup(
            client=self._client,
            store=store,
            kinds=self._kinds,
            clock=self._clock,
            metrics=self._metrics,
            partitions=self._settings.partitions,
            timezone=ZoneInfo(self._settings.campus_timezone),
            every_ms=self._settings.rollup_every_ms,
            batch_size=self._settings.rollup_batch,
            dead_letters_max=self._settings.dead_letters_max,
            traces=self._traces.rollup(),
            export=self._window_stream(),
        )
        work = self._after(self._setup(store, "timeseries"), "rollup", rollup.run)
        return {"rollup": work, "windows-retention": OccupancyRetention(store).run}

    def coverage(self, store: TimeseriesStore, campus: Campus) -> Stages:
        """Beside the roll-up: which minutes were counted at all. `campus` is that of the file."""
        recorder = CoverageRecorder(
            client=self._client,
            store=store,
            kinds=self._kinds,
            file=campus,
            clock=self._clock,
            metrics=self._metrics,
            dead_letters_max=self._settings.dead_letters_max,
        )
        return {"coverage": self._after(self._setup(store, "timeseries"), "coverage", recorder.run)}

    def release(self, store: TimeseriesStore, campus: Campus) -> Stages:
        """From presence to what is told of counts. `store` is that of released counts, `campus` that of the file."""
        settings = self._settings
        release = Release(
            client=self._client,
            kinds=self._kinds,
            policy=settings.policy,
            partitions=settings.partitions,
            ttl=settings.presence_ttl,
            timezone=ZoneInfo(settings.campus_timezone),
            file=campus,
            clock=self._clock,
            metrics=self._metrics,
            draw=secrets.randbelow,
        )
        windows = ReleasedWindows(
            client=self._client,
            store=store,
            kinds=self._kinds,
            file=campus,
            clock=self._clock,
            metrics=self._metrics,
        )
        return {
            "release": release.run,
            "release-windows": self._after(self._setup(store, "timeseries"), "release-windows", windows.run),
            "released-retention": OccupancyRetention(store).run,
        }

    def judge(self, store: DocumentStore) -> Stages:
        """From documents to marks of devices."""
        judge = Judge(
            client=self._client,
            store=store,
            clock=self._clock,
            metrics=self._metrics,
            most_devices=self._settings.judge_devices,
            most_speed=self._settings.implausible_speed,
            keep_ms=self._settings.marks_keep_ms,
            dead_letters_max=self._settings.dead_letters_max,
        )
        return {"judge": self._after(self._setup(store, "documents"), "judge", judge.run)}

    def _window_stream(self) -> WindowStream | None:
        targets = self._settings.targets
        return WindowStream(self._client, notes_gaps=Target.PARQUET in targets) if targets else None

    def export(self, targets: Sequence[ExportTarget], *, hurry: Callable[[], bool] = lambda: False) -> Stages:
        """From positions and windows to each target, by groups of its own.

        `hurry` says when what is gathered for the lake is to be written at once.
        """
        stages: Stages = {}
        for target in targets:
            stages |= self._export_to(target, hurry)
        return stages

    def _export_to(self, target: ExportTarget, hurry: Callable[[], bool]) -> Stages:
        settings, name = self._settings, f"export-{target.name}"
        common = Exporting(target, self._dead_letters, self._clock, self._metrics, self._letters_each)
        stages: Stages = {}
        for partition in range(settings.partitions):
            group = self._export_group(target.name, keys_of(partition, settings.partitions).positions, hurry)
            retry = StageRetry(name, self._metrics, partition=partition)
            work = PositionExporter(common, group=group, retry=retry, partition=partition)
            consumer = self._consumer(name, partition, group, work, settings.export_batch, together=True)
            stages[f"{name}-{partition}"] = _ending(group, consumer)
        group = self._export_group(target.name, WINDOWS, hurry)
        of_windows = WindowExporter(common, group=group, retry=StageRetry(f"{name}-windows", self._metrics))
        consumer = self._consumer(f"{name}-windows", None, group, of_windows, settings.export_batch, together=True)
        stages[f"{name}-windows"] = _ending(group, consumer)
        return stages

    def export_upkeep(self) -> Stages:
        """Beside every reader of positions: no target that is away, or is none any more, keeps them for ever."""
        settings = self._settings
        chosen = {target.value for target in settings.targets}
        stages: Stages = {
            "export-off": ExportOff(
                [group for name in EXPORT_GROUPS if name not in chosen for group in self._groups_of(name)],
                StageRetry("export-off", self._metrics),
                self._clock,
                unread=[] if chosen else [self._plain_group(Target.PARQUET, WINDOWS)],
            ).run
        }
        if chosen:
            stages["export-patience"] = ExportPatience(
                client=self._client,
                groups={name: self._groups_of(name)[:-1] for name in sorted(chosen)},
                patience_ms=settings.export_patience_ms,
                clock=self._clock,
                metrics=self._metrics,
            ).run
        return stages

    def lake_keeper(self, lake: "Lake") -> "LakeKeeper":
        """Whoever keeps the lake, in two stages, and knows when exporters are to hurry."""
        from decoder.lake_keeper import LakeKeeper  # noqa: PLC0415 - pyarrow

        settings = self._settings
        return LakeKeeper(
            client=self._client,
            lake=lake,
            keep_ms=settings.lake_keep_ms or settings.documents_keep_ms,
            clock=self._clock,
            metrics=self._metrics,
        )

    def export_gaps(self, lake: Gaps) -> Stages:
        """Beside the export to the lake: what it lacks is told there."""
        return {"export-gaps": GapsMover(self._client, lake, StageRetry("export-gaps", self._metrics)).run}

    def _groups_of(self, target: str) -> list[Group]:
        """The groups of a target: one for each partition, and that of windows."""
        partitions = self._settings.partitions
        streams = [keys_of(partition, partitions).positions for partition in range(partitions)]
        return [self._plain_group(target, stream) for stream in [*streams, WINDOWS]]

    def _plain_group(self, target: str, stream: str) -> Group:
        return Group(
            client=self._client if stream == WINDOWS else raw_redis(self._client),
            stream=stream,
            group=EXPORT_GROUPS[target],
            consumer=self._settings.decoder_name,
            claim_after_ms=int(self._settings.claim_after * 1000),
        )

    def _export_group(self, target: str, stream: str, hurry: Callable[[], bool]) -> Group:
        if target != Target.PARQUET:
            return self._plain_group(target, stream)
        settings = self._settings
        return GatheringGroup(
            client=self._client if stream == WINDOWS else raw_redis(self._client),
            stream=stream,
            group=EXPORT_GROUPS[target],
            consumer=settings.decoder_name,
            claim_after_ms=int(settings.claim_after * 1000),
            every=settings.lake_every,
            most=max(settings.lake_positions // settings.partitions, LEAST_GATHERED),
            hurry=hurry,
        )

    def _consumer(
        self,
        stage: str,
        partition: int | None,
        group: Group,
        work: Work,
        batch_size: int,
        *,
        together: bool = False,
    ) -> Consumer:
        return Consumer(
            stage=stage,
            group=group,
            work=work,
            clock=self._clock,
            metrics=self._metrics,
            batch_size=batch_size,
            alone=self._alone,
            kinds=self._kinds,
            poison_after=self._settings.poison_after,
            dead_letters_max=self._letters_each,
            partition=partition,
            together=together,
        )

    def _setup(self, store: DocumentStore | OccupancyStore, name: str) -> Callable[[], Awaitable[None]]:
        async def set_up() -> None:
            with self._metrics.asking(name, "setup"):
                await store.setup()

        return set_up

    def _after(
        self,
        setup: Callable[[], Awaitable[None]],
        stage: str,
        work: Callable[[Stop], Awaitable[None]],
        *,
        partition: int | None = None,
    ) -> Callable[[Stop], Awaitable[None]]:
        async def set_up_and_work(stop: Stop) -> None:
            await StageRetry(stage, self._metrics, partition=partition).until_available(setup)
            await work(stop)

        return set_up_and_work


def _ending(group: Group, consumer: Consumer) -> Callable[[Stop], Awaitable[None]]:
    """A consumer whose group does not gather any longer once it is to stop."""

    async def run(stop: Stop) -> None:
        if isinstance(group, GatheringGroup):
            group.end_with(stop)
        await consumer.run(stop)

    return run
