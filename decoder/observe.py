"""Stage 1: raw messages become presence, windows and positions."""

from functools import partial
from time import perf_counter

from core.clock import Clock
from core.errors import Reason
from core.messages import DeadLetter
from decoder.batch import BatchDecoder
from decoder.campus import CampusFollower
from decoder.effects import Effects, StaleFenceError
from decoder.metrics import DecoderMetrics
from decoder.refusals import RefusalTeller
from decoder.rounds import InHand, as_they_are, cut, in_hand, left
from decoder.stage_retry import StageRetry
from decoder.traces import ObserveTraces
from state.group import Entry
from state.raw import Finisher


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
    ) -> None:
        """`teller` tells others of what is refused, and `traces` of what was done when; unless given, nobody does."""
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
            batch = self._decoder.decode(messages, malformed)
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
