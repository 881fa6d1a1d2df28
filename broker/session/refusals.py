"""What is turned away: counted, and said in the log, but not each time."""

from collections.abc import Callable
from typing import Protocol

import structlog

from broker.metrics import BrokerMetrics
from broker.protocol.reasons import Refusal
from broker.session.topic_rules import Topic

LOG_EVERY_SECONDS = 60.0
"""How often the refused messages of one user are worth a line."""
MAX_LOGGED_USERS = 1000

_log = structlog.stdlib.get_logger("node")


class Peer(Protocol):
    """A client, as a log names it."""

    user: str
    peer: str


class Refusals:
    """Those of one node."""

    def __init__(self, *, metrics: BrokerMetrics, max_payload: int, now: Callable[[], float]) -> None:
        """`max_payload` is MQTT_MAX_PAYLOAD; `now` gives seconds, as the event loop does."""
        self._metrics = metrics
        self._max_payload = max_payload
        self._now = now
        self._logged: dict[str, float] = {}

    def refuse(self, reason: Refusal, detail: str, who: Peer) -> None:
        """Count something that was turned away, and say it."""
        self._metrics.refused.labels(reason.value).inc()
        self._say(reason.value, detail, who)

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

    def _say(self, reason: str, detail: str, who: Peer, *, event: str = "refused") -> None:
        key = f"{reason} {who.user or who.peer}"
        now = self._now()
        if now - self._logged.get(key, -LOG_EVERY_SECONDS) < LOG_EVERY_SECONDS:
            return
        if len(self._logged) >= MAX_LOGGED_USERS:
            self._logged.clear()
        self._logged[key] = now
        _log.warning(event, reason=reason, detail=detail, user=who.user, peer=who.peer)
