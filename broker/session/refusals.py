"""What is turned away: counted, and said in the log, but not each time."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from broker.metrics import BrokerMetrics
from broker.protocol.reasons import Refusal
from broker.session.log_names import LogNames
from broker.session.topic_rules import Topic
from core.kinds import Role
from runtime.log_throttle import EVERY_SECONDS, LogThrottle
from runtime.service import Stop, pause

_log = structlog.stdlib.get_logger("broker")


class Peer(Protocol):
    """A client, as a log names it."""

    user: str
    role: Role
    peer: str
    address: str
    """What the peer counts as: of an IPv6 address its /64, of which one client has all."""


class Refusals:
    """Those of one node."""

    def __init__(self, *, metrics: BrokerMetrics, max_payload: int, now: Callable[[], float], names: LogNames) -> None:
        """`max_payload` is MQTT_MAX_PAYLOAD; `now` gives seconds, as the event loop does."""
        self._names = names
        self._metrics = metrics
        self._max_payload = max_payload
        self._throttle = LogThrottle(now)

    async def run(self, stop: Stop) -> None:
        """Say once a minute, and at the end, how many of those there were that had no line of their own."""
        while not stop.is_set():
            await pause(EVERY_SECONDS, stop)
            self._sum_up(self._throttle.rest() if stop.is_set() else self._throttle.overdue())

    def _sum_up(self, held: Iterable[tuple[str, int]]) -> None:
        counts = Counter[str]()
        for key, count in held:
            counts[key.partition(" ")[0]] += count
        for reason, count in counts.items():
            _log.warning("more of the same were turned away", reason=reason, count=count)

    def refuse(self, reason: Refusal, detail: str, who: Peer, *, user: str = "") -> None:
        """Count something that was turned away, and say it.

        `user` is who it wanted to be, as the log may say it, if it was not let in.
        """
        self._metrics.refused.labels(reason.value).inc()
        self._say(reason.value, detail, who, user=user)

    def refuse_publish(self, topic: Topic, who: Peer) -> None:
        """A message that is acknowledged and dropped, as MQTT 3.1.1 allows [MQTT-3.3.5-2]."""
        if topic.refused is not None:
            self.refuse(topic.refused, "acknowledged and dropped", who)

    def refuse_payload(self, who: Peer) -> None:
        """A payload that is too large: it is acknowledged, and kept nowhere."""
        self.refuse(Refusal.TOO_LARGE, f"MQTT_MAX_PAYLOAD={self._max_payload}", who)

    def throttle(self, who: Peer) -> None:
        """A client has to wait for the rate of its user."""
        self._metrics.throttled += 1
        self._say("rate", "POSITION_RATE", who, event="waits")

    def _say(self, reason: str, detail: str, who: Peer, *, event: str = "refused", user: str = "") -> None:
        name = self._names.shown(who.user, who.role) if who.user else user
        # By address where it is not known who that is: whoever tries names has one line, and not one for each name.
        key = f"{reason} {who.user or who.address}"
        if self._throttle.lets_through(key):
            held_back = self._throttle.held_back(key)
            _log.warning(event, reason=reason, detail=detail, user=name, peer=who.peer, held_back=held_back)
