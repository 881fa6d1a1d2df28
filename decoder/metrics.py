"""What a decoder process measures. docs/operating.md says of each what to do when it rises."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from core.errors import Reason, UnavailableError
from core.marks import Mark
from decoder.batch import Batch
from decoder.stage_status import StageStatus
from payloads import IGNORED
from state.backlog import Backlog
from state.dead_letters import Kept

BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""From a write to a file to the time-out of a server that is away."""
FRESHNESS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
"""From a batch that was waited for to a store that was away for an hour."""
OF_PARTITIONS = frozenset({"observe", "archive", "export-parquet", "export-kafka"})
"""Stages that read a stream of each partition, and wait for each on its own."""
READS_A_STREAM = OF_PARTITIONS | {"export-parquet-windows", "export-kafka-windows"}
TAKES_BATCHES = READS_A_STREAM | {"rollup"}
FRESH = frozenset({"observe", "archive", "rollup"})
"""Stages that make what people see, measured from the broker on. An export gathers for as long as it is told to."""
TOPICS = ("positions", "occupancy")


class DecoderMetrics:
    """The metrics of one process, in a registry of their own; lifetime counts of all processes are in `totals`."""

    def __init__(
        self,
        *,
        stages: Iterable[str] = (),
        partitions: int = 1,
        stores: Iterable[tuple[str, str]] = (),
        targets: Iterable[str] = (),
    ) -> None:
        """`stages` are those that the process runs, `stores` what it asks of stores, as store and operation.

        `targets` are those of EXPORT.

        All that is told by them is there from the start, so that a first one shows; see `decoder.series`.
        """
        self.registry = CollectorRegistry()
        # Whole MQTT messages taken from the stream `raw`.
        self.messages = Counter("decoder_messages", "Messages decoded.", registry=self.registry)
        # Features on the campus: each becomes a document, and counts in its windows.
        self.positions = Counter("decoder_positions", "Positions on the campus.", registry=self.registry)
        # Positions that a device could only have reached faster than IMPLAUSIBLE_SPEED; they count all the same.
        self.implausible = Counter(
            "decoder_implausible_positions", "Positions marked as implausible.", registry=self.registry
        )
        # Features outside the campus: this number is all that is kept of them.
        self.outside = Counter("decoder_outside_positions", "Positions outside the campus.", registry=self.registry)
        # What apps send beside positions: nothing is wrong with it, and nothing is done.
        self.ignored = Counter(
            "decoder_ignored", "Messages that are no positions, and need not be.", ["what"], registry=self.registry
        )
        for what in IGNORED:
            self.ignored.labels(what)
        # Messages or features that could not be used; each reason is there from the start, so that a first one shows.
        self.dead = Counter("decoder_dead_letters", "Dead letters by reason.", ["reason"], registry=self.registry)
        for reason in Reason:
            self.dead.labels(reason.value)
        # Messages that tell services, and devices, of what was refused: handed to the nodes where somebody listens.
        self.told = Counter("decoder_told_refusals", "Refusals told.", registry=self.registry)
        # Those that were not: too many of one sender, too many at once, or no room at a node.
        self.untold = Counter("decoder_untold_refusals", "Refusals not told.", ["reason"], registry=self.registry)
        for why in ("rate", "full", "inbox"):
            self.untold.labels(why)
        # From reading a batch of raw messages to its acknowledgement, with the waits for Redis.
        self.observe_seconds = Histogram(
            "decoder_observe_seconds", "Seconds a batch took.", buckets=SECONDS, registry=self.registry
        )
        # Positions that the document store has answered for.
        self.archived = Counter("decoder_archived_positions", "Positions archived.", registry=self.registry)
        # Windows that the time-series store has taken.
        self.rolled_up = Counter("decoder_rolled_up_windows", "Windows written.", registry=self.registry)
        # Points that the time-series store will never take, most of them since they are older than it keeps any.
        self.refused = Counter("decoder_refused_points", "Points refused for good.", registry=self.registry)
        # Hours that the stage judge has judged; one of which documents come later is judged again.
        self.judged = Counter("decoder_judgements", "Hours that were judged.", registry=self.registry)
        # Positions of them that it did not look at: those of more devices than JUDGE_DEVICES, and of one device in one
        # hour those beyond `decoder.plausibility.hour.MOST_FIXES`.
        self.unjudged = Counter("decoder_unjudged_positions", "Positions not judged.", registry=self.registry)
        # Devices with a mark in the last hour that is over and judged: a hint each, of which no count depends.
        self.marked = Gauge("decoder_marked_devices", "Devices marked in an hour.", ["mark"], registry=self.registry)
        # Hours that are due to be judged, or are being judged.
        self.hours_to_judge = Gauge("decoder_waiting_judgements", "Hours to judge.", registry=self.registry)
        # Windows whose counters lapsed before they were written: a backfill recomputes them.
        self.lapsed = Counter("decoder_lapsed_windows", "Windows lost until a backfill.", registry=self.registry)

        # One attempt of a stage to use a store: `documents` or `timeseries`; waits between attempts are not part of it.
        self.store_seconds = Histogram(
            "decoder_store_seconds",
            "Seconds until a store had answered, or was given up.",
            ["store", "operation"],
            buckets=SECONDS,
            registry=self.registry,
        )
        # Those of them that ended with "not now".
        self.store_failures = Counter(
            "decoder_store_failures",
            "Attempts that a store did not serve.",
            ["store", "operation"],
            registry=self.registry,
        )
        # Attempts of a stage that ended with "not now", of Redis and of stores alike.
        self.unavailable = Counter("decoder_unavailable", "Waits by stage.", ["stage"], registry=self.registry)
        # 1 while a stage waits, else 0; partition is empty for a stage that has none. /readyz says for what.
        self.waiting_now = Gauge("decoder_waiting", "Stages that wait.", ["stage", "partition"], registry=self.registry)
        # Windows that the time-series store does not take at present, or may write yet, while it takes others.
        self.held_windows = Gauge("decoder_held_windows", "Windows that wait.", registry=self.registry)
        # What a stage takes at once: messages of raw, entries of positions, or windows.
        self.batch_entries = Histogram(
            "decoder_batch_entries", "Sizes of batches.", ["stage"], buckets=BATCH_SIZES, registry=self.registry
        )
        # From the moment at which a broker, or the API, received the newest position of a batch to the end of the batch
        # in this stage: how far behind what people see is, where all is well and where it is not.
        self.freshness = Histogram(
            "decoder_freshness_seconds",
            "Seconds from the newest message of a batch to its end.",
            ["stage"],
            buckets=FRESHNESS,
            registry=self.registry,
        )
        # Entries that were delivered before, to this decoder or another, and not finished.
        self.claimed = Counter("decoder_claimed_entries", "Leftovers taken up.", ["stage"], registry=self.registry)

        # Slots that this process has told (the stage release), and when the next is due to be told by any: Unix time.
        self.released_slots = Counter("decoder_released_slots", "Slots that were told.", registry=self.registry)
        self.release_due = Gauge(
            "decoder_release_due_timestamp_seconds", "When counts are to be released next.", registry=self.registry
        )
        self.release_due.set(math.nan)

        # From here on what Redis holds, see decoder/redis_gauges.py: the same from every process; absent, or NaN,
        # while Redis is away.
        # Entries that a group has not finished: its lag (undelivered), and what its consumers have in hand (pending).
        self.backlog = Gauge(
            "decoder_backlog_entries", "Unfinished entries.", ["stream", "group", "state"], registry=self.registry
        )
        # What a group has yet to do: messages of `raw`, an entry of which holds many, and entries of `positions`.
        self.waits_for = Gauge(
            "decoder_waiting_messages",
            "Messages, or entries of positions.",
            ["stream", "group"],
            registry=self.registry,
        )
        # Age of the oldest of them, by the clock of Redis; 0 where there is none.
        self.oldest = Gauge(
            "decoder_oldest_entry_age_seconds", "Age of the oldest.", ["stream", "group"], registry=self.registry
        )
        # Windows that have changed since they were last written to the time-series store.
        self.dirty_windows = Gauge("decoder_dirty_windows", "Windows to write.", registry=self.registry)
        # Dead letters that can be looked at.
        self.dead_kept = Gauge("decoder_dead_letters_kept", "Dead letters.", registry=self.registry)
        # Those that the cap (DEAD_LETTERS_MAX) has pushed out, ever.
        self._pushed_out = _PushedOut()
        self.registry.register(self._pushed_out)

        self.forget()
        self.forget_marks()

        self._waiting = StageStatus()
        self.building: str | None = None
        self.newest_counted: int | None = None
        """When the newest message that this process has counted was received, ms since the epoch; None before."""
        self._begin(frozenset(stages), partitions, stores)
        self._begin_export(targets)

    def _begin(self, stages: frozenset[str], partitions: int, stores: Iterable[tuple[str, str]]) -> None:
        for stage in stages:
            self.unavailable.labels(stage)
            for partition in range(partitions) if stage in OF_PARTITIONS else (None,):
                self.waiting_now.labels(stage, _label(partition)).set(0)
        for stage in READS_A_STREAM & stages:
            self.claimed.labels(stage)
        for stage in TAKES_BATCHES & stages:
            self.batch_entries.labels(stage)
        for stage in FRESH & stages:
            self.freshness.labels(stage)
        for store, operation in stores:
            self.store_seconds.labels(store, operation)
            self.store_failures.labels(store, operation)

    def _begin_export(self, targets: Iterable[str]) -> None:
        # Positions and windows that a target of the export has taken, with those that it was given twice.
        self.exported = Counter(
            "decoder_exported_records", "Records exported.", ["target", "topic"], registry=self.registry
        )
        # Entries of positions that waited for a target for longer than EXPORT_PATIENCE, and are not given to it.
        self.skipped = Counter(
            "decoder_export_skipped_entries", "Entries passed over.", ["target"], registry=self.registry
        )
        # Entries of windows that were pushed out by newer ones before every target had taken them.
        self.cut_windows = Counter("decoder_export_cut_entries", "Entries of windows lost.", registry=self.registry)
        # Files of the lake that the export has written, and their size.
        self.lake_files = Counter("decoder_lake_files", "Files written to the lake.", registry=self.registry)
        self.lake_bytes = Counter("decoder_lake_bytes", "Bytes written to the lake.", registry=self.registry)
        for target in targets:
            self.skipped.labels(target)
            for topic in TOPICS:
                self.exported.labels(target, topic)

    @property
    def waiting(self) -> str | None:
        """What the stages wait for, as a sentence; None when none does."""
        return self._waiting.sentence()

    def builds(self, sentence: str | None) -> None:
        """Note what the document store is building, None for nothing: no stage waits for it, but questions do."""
        self.building = sentence

    def waits(self, stage: str, partition: int | None, reason: str) -> bool:
        """Note that a stage, or one partition of it, waits; whether that is news."""
        self.unavailable.labels(stage).inc()
        self.waiting_now.labels(stage, _label(partition)).set(1)
        return self._waiting.begins(stage, partition, reason)

    def goes_on(self, stage: str, partition: int | None) -> bool:
        """Note that a stage got its answer; whether it had been waiting."""
        ended = self._waiting.ends(stage, partition)
        if ended:
            self.waiting_now.labels(stage, _label(partition)).set(0)
        return ended

    def holds(self, held: Mapping[str, str]) -> None:
        """Show what waits while its stage goes on with other things, by reason; in place of what was shown before."""
        self._waiting.holds(held)

    def failed(self, store: str, operation: str) -> None:
        """Count an attempt that ended with "not now" for a part of it."""
        self.store_failures.labels(store, operation).inc()

    def finished(self, stage: str, received_at: int | None, now: int) -> None:
        """A batch is done, whose newest message was received then; None where it had none. In ms since the epoch."""
        if received_at is not None:
            # The clock of the broker's machine may be ahead.
            self.freshness.labels(stage).observe(max(now - received_at, 0) / 1000)

    def counted(self, received_at: int | None, now: int) -> None:
        """As `finished`, of a batch of the stage observe."""
        self.finished("observe", received_at, now)
        if received_at is not None:
            self.newest_counted = max(received_at, self.newest_counted or 0)

    @contextmanager
    def asking(self, store: str, operation: str) -> Iterator[None]:
        """Measure one attempt to use a store."""
        started = perf_counter()
        try:
            yield
        except UnavailableError:
            self.failed(store, operation)
            raise
        finally:
            self.store_seconds.labels(store, operation).observe(perf_counter() - started)

    def count(self, batch: Batch) -> None:
        """Count a batch once its effects are in Redis."""
        self.messages.inc(batch.totals["messages"])
        self.positions.inc(batch.totals["positions"])
        self.outside.inc(batch.totals["outside"])
        for what, count in batch.ignored.items():
            self.ignored.labels(what).inc(count)
        for letter in batch.dead:
            self.dead.labels(letter.reason.value).inc()

    def show(self, backlogs: Iterable[Backlog], *, letters: Kept, dirty_windows: int) -> None:
        """Show what Redis holds, in place of what was shown before."""
        self.forget()
        for backlog in backlogs:
            names = (backlog.stream, backlog.group)
            self.backlog.labels(*names, "undelivered").set(backlog.undelivered)
            self.backlog.labels(*names, "pending").set(backlog.pending)
            self.waits_for.labels(*names).set(backlog.waiting)
            self.oldest.labels(*names).set(backlog.oldest_seconds or 0)
        self.dirty_windows.set(dirty_windows)
        self.dead_kept.set(letters.kept)
        self._pushed_out.ever = letters.capped

    def show_marks(self, devices: Mapping[Mark, int], hours_to_judge: int) -> None:
        """Show what Redis holds of marks; only a process that judges does."""
        for mark, count in devices.items():
            self.marked.labels(mark.value).set(count)
        self.hours_to_judge.set(hours_to_judge)

    def forget_marks(self) -> None:
        """Show nothing of marks: Redis, or the document store, does not say."""
        self.marked.clear()
        self.hours_to_judge.set(math.nan)

    def forget(self) -> None:
        """Show nothing of what Redis holds: it does not say."""
        for by_group in (self.backlog, self.waits_for, self.oldest):
            by_group.clear()
        for number in (self.dirty_windows, self.dead_kept):
            number.set(math.nan)
        self._pushed_out.ever = None


class _PushedOut(Collector):
    """A counter that Redis keeps: it is told, not incremented, and absent where Redis does not say."""

    ever: int | None = None

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily("decoder_dead_letters_capped", "Dead letters pushed out by newer ones.")
        if self.ever is not None:
            family.add_metric([], self.ever)
        yield family


def _label(partition: int | None) -> str:
    return "" if partition is None else str(partition)
