"""Stage judge: the documents of an hour become marks of devices (docs/decisions/0043-marks-are-hints.md)."""

import asyncio
from collections.abc import Iterable

import structlog

from core.clock import LATEST_MS, Clock
from core.errors import Reason, UnavailableError
from core.marks import Mark
from core.messages import DeadLetter, Position
from decoder.metrics import DecoderMetrics
from decoder.plausibility import HOUR_MS, Hour, marked
from decoder.stage_retry import StageRetry
from documents import DocumentStore, from_document
from runtime.service import Stop, pause
from state.client import Redis
from state.dead_letters import DeadLetters
from state.judging import Claim, HoursToJudge
from state.marks import marks_of

EVERY_SECONDS = 5.0
LEASE_MS = 60_000
"""How long a claimed hour is left alone by others; it is renewed while documents are read."""
RENEW_MS = 20_000
GATHER_MS = 60_000
"""How long documents of an hour are gathered, after it has ended or after it was judged, before it is judged."""
HOUR_DIGITS = 15
"""Of an hour that documents may be of, which is before the end of 9999, at the most."""
NAME_BYTES = 40
"""Of a name that is no hour, in its dead letter."""

_log = structlog.stdlib.get_logger("judge")


class LapsedError(Exception):
    """Somebody else judges the hour by now, or a device in it was erased: what was read is to be forgotten."""


class Judge:
    """Judges hours that are due; several of them, in several processes, share the work."""

    def __init__(
        self,
        *,
        client: Redis,
        store: DocumentStore,
        clock: Clock,
        metrics: DecoderMetrics,
        most_devices: int,
        most_speed: float,
        keep_ms: int,
        dead_letters_max: int,
    ) -> None:
        """`most_devices` are judged of an hour; `most_speed` is in metres a second; `keep_ms` how long marks stay."""
        self._client = client
        self._hours = HoursToJudge(client, keep_ms=keep_ms)
        self._dead_letters = DeadLetters(client, partitions=1)  # only those of no partition
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._retry = StageRetry("judge", metrics)
        self._most_devices = most_devices
        self._most_speed = most_speed
        self._dead_letters_max = dead_letters_max

    async def run(self, stop: Stop) -> None:
        """Judge until `stop`."""
        while not stop.is_set():
            if not await self._retry.until_available(self.step):
                await pause(EVERY_SECONDS, stop)

    async def step(self) -> bool:
        """Judge one hour that is due; whether there was one. Raises UnavailableError."""
        try:
            now = self._clock()
            claim = await self._hours.claim(now=now, until=now + LEASE_MS)
            if claim is not None:
                await self._judge(claim)
            await self._show()
        except UnavailableError:
            self._metrics.forget_marks()
            raise
        return claim is not None

    async def _judge(self, claim: Claim) -> None:
        start = int(claim.hour) if claim.hour.isdigit() and len(claim.hour) <= HOUR_DIGITS else -1
        if start % HOUR_MS or start + HOUR_MS > LATEST_MS:
            await self._drop(claim)
            return
        try:
            claim, hour = await self._read(claim, start)
            # Sorting a full hour takes seconds: in a thread, so that other stages of this process go on.
            found = await asyncio.to_thread(lambda: marked(hour.tracks(), most_speed=self._most_speed))
            settled = await self._hours.settle(claim, found, now=self._clock())
        except LapsedError:
            settled = False
        except UnavailableError:
            # If it is Redis that is away the claim lapses by itself.
            await self._hours.release(claim, due=self._clock())
            raise
        if not settled:
            _log.info("an hour is judged again", hour=start)
            return
        self._metrics.judged.inc()
        self._metrics.unjudged.inc(hour.unjudged)

    async def _read(self, claim: Claim, start: int) -> tuple[Claim, Hour]:
        """The positions of an hour, and the claim, which is renewed meanwhile. Raises LapsedError."""
        hour = Hour(start, self._most_devices)
        async for document in self._store.scan(start=start, end=start + HOUR_MS):
            try:
                position = from_document(document)
            except ValueError:
                hour.unjudged += 1
                continue
            hour.add(
                position.device,
                position.observed_at,
                position.longitude,
                position.latitude,
                accuracy=position.accuracy,
                speed=position.speed,
            )
            claim = await self._renewed(claim)
        return await self._renewed(claim), hour

    async def _renewed(self, claim: Claim) -> Claim:
        now = self._clock()
        if claim.until - now > LEASE_MS - RENEW_MS:
            return claim
        renewed = await self._hours.renew(claim, now + LEASE_MS)
        if renewed is None:
            raise LapsedError
        return renewed

    async def _drop(self, claim: Claim) -> None:
        # Of several decoders that meet it, the one who removes it says so.
        if await self._hours.drop(claim):
            detail = f"{repr(claim.hour[:NAME_BYTES])[1:]}, which is to be judged, is no hour"
            letter = DeadLetter(Reason.MALFORMED_ENTRY, detail, "", self._clock(), payload=None)
            await self._dead_letters.add([letter], self._dead_letters_max)
            self._metrics.dead.labels(letter.reason.value).inc()

    async def _show(self) -> None:
        """How many devices have each mark in the last hour that has been over for long enough to be judged."""
        now = self._clock()
        over = now - 2 * GATHER_MS
        marks = await marks_of(self._client, over - over % HOUR_MS - HOUR_MS)
        waiting = await self._hours.waiting(now)
        self._metrics.show_marks({mark: sum(mark in each for each in marks.values()) for mark in Mark}, waiting)


async def note_hours(hours: HoursToJudge, positions: Iterable[Position], *, now: int) -> None:
    """Note that documents of these positions are stored. Raises UnavailableError."""
    starts = {position.observed_at - position.observed_at % HOUR_MS for position in positions}
    await hours.note({start: max(start + HOUR_MS, now) + GATHER_MS for start in starts}, now=now)
