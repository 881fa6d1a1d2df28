"""What a decoder process measures."""

import math
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from core.backlog import Backlog
from decoder.batch import Batch
from decoder.dead_letters import Kept

BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


class DecoderMetrics:
    """The metrics of one process, in a registry of their own; lifetime counts of all processes are in `totals`."""

    def __init__(self) -> None:
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
        self.outside = Counter("decoder_outside", "Positions outside the campus.", registry=self.registry)
        # Messages or features that could not be used; reason is one of core.errors.Reason.
        self.dead = Counter("decoder_dead_letters", "Dead letters by reason.", ["reason"], registry=self.registry)
        # From reading a batch of raw messages to its acknowledgement.
        self.observe_seconds = Histogram("decoder_observe_seconds", "Seconds a batch took.", registry=self.registry)
        # Positions handed to the document store and answered for, and how long the store took.
        self.archived = Counter("decoder_archived_positions", "Positions archived.", registry=self.registry)
        self.archive_seconds = Histogram(
            "decoder_archive_seconds", "Seconds the document store took for a batch.", registry=self.registry
        )
        # Windows written to the time-series store, and how long the store took.
        self.rolled_up = Counter("decoder_rolled_up_windows", "Windows written.", registry=self.registry)
        self.rollup_seconds = Histogram(
            "decoder_rollup_seconds", "Seconds the time-series store took for a batch.", registry=self.registry
        )
        # Times that a stage had to wait because what it depends on did not answer.
        self.unavailable = Counter("decoder_unavailable", "Waits by stage.", ["stage"], registry=self.registry)
        # What a stage takes at once: stream entries, or windows.
        self.batch_entries = Histogram(
            "decoder_batch_entries", "Sizes of batches.", ["stage"], buckets=BATCH_SIZES, registry=self.registry
        )
        # Entries that were delivered before, to this decoder or another, and not finished.
        self.claimed = Counter("decoder_claimed_entries", "Leftovers taken up.", ["stage"], registry=self.registry)

        # From here on what Redis holds, see decoder/watch.py: the same from every process; absent, or NaN,
        # while Redis is away.
        # Entries that a group has not finished: not delivered, and pending.
        self.backlog = Gauge(
            "decoder_backlog_entries", "Unfinished entries.", ["stream", "group", "state"], registry=self.registry
        )
        # Age of the oldest of them, by the clock of Redis; 0 where there is none.
        self.oldest = Gauge(
            "decoder_oldest_entry_seconds", "Age of the oldest.", ["stream", "group"], registry=self.registry
        )
        # Windows that have changed since they were last written to the time-series store.
        self.dirty_windows = Gauge("decoder_dirty_windows", "Windows to write.", registry=self.registry)
        # Dead letters that can be looked at, and those that the cap (DEAD_LETTERS_MAX) has pushed out, ever.
        self.dead_kept = Gauge("decoder_dead_letters_kept", "Dead letters.", registry=self.registry)
        self.dead_capped = Gauge("decoder_dead_letters_capped", "Dead letters pushed out.", registry=self.registry)

        self.forget()

        self._waiting: dict[str, str] = {}

    @property
    def waiting(self) -> str | None:
        """What a stage waits for, as a sentence; None when none does."""
        return "; ".join(f"{stage} waits: {reason}" for stage, reason in self._waiting.items()) or None

    def waits(self, stage: str, reason: str) -> bool:
        """Note that a stage waits; whether that is news."""
        self.unavailable.labels(stage).inc()
        news = stage not in self._waiting
        self._waiting[stage] = reason
        return news

    def goes_on(self, stage: str) -> bool:
        """Note that a stage got its answer; whether it had been waiting."""
        return self._waiting.pop(stage, None) is not None

    def count(self, batch: Batch) -> None:
        """Count a batch once its effects are in Redis."""
        self.messages.inc(batch.totals["messages"])
        self.positions.inc(batch.totals["positions"])
        self.outside.inc(batch.totals["outside"])
        for letter in batch.dead:
            self.dead.labels(letter.reason.value).inc()

    def show(self, backlogs: Iterable[Backlog], *, letters: Kept, dirty_windows: int) -> None:
        """Show what Redis holds, in place of what was shown before."""
        self.forget()
        for backlog in backlogs:
            names = (backlog.stream, backlog.group)
            self.backlog.labels(*names, "undelivered").set(backlog.undelivered)
            self.backlog.labels(*names, "pending").set(backlog.pending)
            self.oldest.labels(*names).set(backlog.oldest_seconds or 0)
        self.dirty_windows.set(dirty_windows)
        self.dead_kept.set(letters.kept)
        self.dead_capped.set(letters.capped)

    def forget(self) -> None:
        """Show nothing of what Redis holds: it does not say."""
        for by_group in (self.backlog, self.oldest):
            by_group.clear()
        for number in (self.dirty_windows, self.dead_kept, self.dead_capped):
            number.set(math.nan)
