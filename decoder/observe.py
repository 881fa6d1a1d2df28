"""Stage 1: raw messages become presence, windows and positions."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import perf_counter

from core.clock import Clock
from core.errors import Reason
from core.messages import DeadLetter, RawMessage
from decoder.batch import Batch, BatchDecoder
from decoder.campus import CampusFollower
from decoder.device_keys import KeyKeeper
from decoder.effects import Effects, StaleFenceError
from decoder.metrics import DecoderMetrics
from decoder.refusals import RefusalTeller
from decoder.rounds import InHand, as_they_are, cut, in_hand, left
from decoder.stage_retry import StageRetry
from decoder.traces import ObserveTraces
from runtime.devices import MissingKeyError
from state.group import Entry
from state.raw import Finisher
from state.sources import Sources


class Observer:
    """Decodes the messages of one partition."""

    def __init__(
        self,
        *,
        partition: int,
        decoder: BatchDecoder,
        campus: CampusFollower,
        effects: Effects,
        finisher: Finisher,
        clock: Clock,
        metrics: DecoderMetrics,
        teller: RefusalTeller | None = None,
        traces: ObserveTraces | None = None,
        keys: KeyKeeper | None = None,
        sources: Sources | None = None,
        opened: Callable[[Sequence[Entry]], Awaitable[list[Entry]]] | None = None,
    ) -> None:
        """`teller` tells others of what is refused, and `traces` of what was done when; unless given, nobody does.

        `keys` are those of device hashes, where they rotate; `sources` are told, where they are a part of who is who.
        `opened` answers entries as they were before they were sealed; unless given, none of them is.
        """
        self._opened = opened
        self._keys = keys
        self._sources = sources
        self._partition = partition
        self._teller = teller
        self._traces = traces
        self._decoder = decoder
        self._campus = campus
        self._effects = effects
        self._finisher = finisher
        self._clock = clock
        self._metrics = metrics
        self._retry = StageRetry("observe", metrics, partition=partition)

    async def __call__(self, entries: list[Entry]) -> None:
        """Decode entries, make their effects and acknowledge them: at once, or in rounds where that is too much.

        An entry may be more than one round takes: then how far it has come is noted with each.
        """
        if self._opened is not None:
            entries = await self._retry.until_available(partial(self._opened, entries))
        work = in_hand(entries)
        while work:
            started = perf_counter()
            work = await self._round(work)
            self._metrics.observe_seconds.observe(perf_counter() - started)

    async def _round(self, work: list[InHand]) -> list[InHand]:
        """Finish the first of the messages that are left, as many as one batch takes; what is left then."""
        detail = "an entry of the stream raw that no broker wrote"
        malformed = [
            DeadLetter(Reason.MALFORMED_ENTRY, detail, "", self._clock(), payload=None)
            for each in work
            if each.is_malformed
        ]
        messages = left(work)
        began = self._clock()
        while True:
            batch = await self._decoded(messages, malformed)
            try:
                applied = await self._retry.until_available(partial(self._effects.apply, batch, now=self._clock()))
            except StaleFenceError as error:
                await self._retry.until_available(partial(self._campus.refresh, at_least=error.number))
            else:
                break
        counted = self._clock()
        taken = cut(work, batch.taken)
        traced = self._traces.of(work, taken.parts) if self._traces else []
        known = await self._retry.until_available(
            partial(
                self._finisher.finish,
                self._partition,
                taken.parts,
                positions=batch.positions,
                implausible=applied.implausible,
                letters=batch.dead,
                totals=batch.totals,
                traced=[each.entry_id for each in traced if each.windows],
            )
        )
        if known is not None:
            # Somebody else has finished some of them, or we have, and the answer was lost.
            return as_they_are(work, known)
        self._metrics.count(batch)
        newest = max((message.received_at for message in messages[: batch.taken]), default=None)
        self._metrics.counted(newest, self._clock())
        if batch.refused and self._teller is not None:
            self._teller.note(batch.refused)
        self._metrics.implausible.inc(len(applied.implausible))
        if applied.unreadable:
            self._metrics.dead.labels(Reason.MALFORMED_ENTRY.value).inc(applied.unreadable)
        if self._traces and traced:
            await self._traces.observed(traced, began=began, counted=counted, ended=self._clock())
        return taken.rest

    async def _decoded(self, messages: list[RawMessage], malformed: list[DeadLetter]) -> Batch:
        """A batch whose devices' keys were known, once it is known to others who sent it."""
        while True:
            try:
                batch = self._decoder.decode(messages, malformed)
            except MissingKeyError as error:
                if self._keys is None:
                    raise
                await self._retry.until_available(partial(self._keys.refresh, wanted=(error.at,)))
            else:
                break
        if self._sources is not None:
            # Whoever erases a device must find all of its hashes.
            note = partial(self._sources.note, batch.sources - {""}, now=self._clock())
            await self._retry.until_available(note)
        return batch
