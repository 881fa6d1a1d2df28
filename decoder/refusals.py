"""Tells services, and devices themselves, of what was refused of what devices sent.

Beside the stage that refuses: it hands over and goes on. What does not fit, or is too much of one sender, is counted
and told to nobody; the dead letters are all there.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from core.clock import format_rfc3339
from core.kinds import Kinds
from decoder.dead_letters import Refused
from decoder.metrics import DecoderMetrics
from runtime.buckets import Buckets
from runtime.retry import until_available
from runtime.service import Stop, Wakeup
from state.refusals import AT_ONCE, Refusals, own_topic, topic_of_kind

MAX_WAITING = 1000
"""Messages that wait to be told."""
DEVICE_EACH_SECOND = 1.0
OTHERS_EACH_SECOND = 10.0
"""Of a gateway, a service, and all clients without a user together: they send for many devices."""

_encoder = msgspec.json.Encoder()


class _ToServices(msgspec.Struct, omit_defaults=True):
    reason: str
    detail: str
    user: str = ""


class _ToDevice(msgspec.Struct):
    reason: str
    detail: str
    received_at: str


class RefusalTeller:
    """Tells what one process has refused: at most one refusal a second of each device."""

    def __init__(
        self,
        *,
        refusals: Refusals,
        kinds: Kinds,
        echo: bool,
        metrics: DecoderMetrics,
        seconds: Callable[[], float],
    ) -> None:
        """`echo` is ECHO_REFUSALS: devices hear of their own as well.

        `seconds` never goes back, and its zero is any.
        """
        self._refusals = refusals
        self._kinds = kinds
        self._echo = echo
        self._metrics = metrics
        self._of_devices = Buckets(rate=DEVICE_EACH_SECOND, burst=DEVICE_EACH_SECOND, seconds=seconds)
        self._of_others = Buckets(rate=OTHERS_EACH_SECOND, burst=OTHERS_EACH_SECOND, seconds=seconds)
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._in_hand: list[tuple[str, bytes]] = []
        """What is being told, or was when that failed: it is told again then."""
        self._wakeup = Wakeup()

    def note(self, refused: Sequence[Refused]) -> None:
        """Tell of these soon; what is on no topic of a kind is told to nobody."""
        for each in refused:
            message, error = each.message, each.error
            kind = self._kinds.ingest_kind(message.topic)
            role = self._kinds.role_by_name.get(message.role)
            if kind is None or role is None:
                continue
            buckets = self._of_others if role.kind is None else self._of_devices
            if buckets.take(f"{role.name} {message.user}"):
                self._metrics.untold.labels("rate").inc()
                continue
            told = _ToServices(error.reason.value, error.detail, message.user)
            self._put(topic_of_kind(kind), _encoder.encode(told))
            own = own_topic(message.user) if self._echo and role.kind is not None else None
            if own is not None:
                said = _ToDevice(error.reason.value, error.detail, format_rfc3339(message.received_at))
                self._put(own, _encoder.encode(said))
        if self._waiting:
            self._wakeup.wake()

    async def run(self, stop: Stop) -> None:
        """Tell what is waiting, until `stop`."""
        with self._wakeup.woken_by(stop):
            while not stop.is_set():
                if not self._in_hand:
                    self._in_hand = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
                if not self._in_hand:
                    await self._wakeup.wait()
                    continue
                lost = await until_available(partial(self._refusals.publish, self._in_hand))
                self._metrics.told.inc(len(self._in_hand))
                self._metrics.untold.labels("inbox").inc(lost)
                self._in_hand = []

    def _put(self, topic: str, payload: bytes) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._metrics.untold.labels("full").inc()
        else:
            self._waiting.append((topic, payload))
