"""What may wait, and what was dropped because more did."""

from dataclasses import dataclass

import structlog

from broker.settings import BrokerSettings
from runtime.log_throttle import LogThrottle
from state.sessions import Losses

INBOX_MAX_BYTES = 8 * 1024 * 1024
UNLIMITED = 1 << 40

_log = structlog.stdlib.get_logger("cluster")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the whole cluster: all nodes should have the same."""

    session_expiry_ms: int
    """How long a persistent session is kept after its client has gone."""
    queue_max_length: int
    """Messages that a persistent session may have waiting."""
    queue_max_age_ms: int
    """How long a message may wait there."""
    retained_max: int
    """Retained messages."""
    retained_max_bytes: int = UNLIMITED
    """Bytes of them, with their topics."""
    retained_anonymous_max: int = UNLIMITED
    """How many of them may be of anonymous clients."""
    retained_anonymous_max_bytes: int = UNLIMITED
    """And bytes of these."""
    queue_positions_max_age_ms: int = 300_000
    """How long a message may wait that was published to an ingest topic."""
    sessions_max: int = UNLIMITED
    """Persistent sessions."""
    sessions_user_max: int = UNLIMITED
    """Those of one owner."""
    queue_max_bytes: int = UNLIMITED
    """Bytes that a persistent session may have waiting; its subscriptions count as well."""
    sessions_user_max_bytes: int = UNLIMITED
    """Bytes that all sessions of one owner may have so."""
    sessions_max_bytes: int = UNLIMITED
    """Bytes that all sessions may have so."""
    inbox_max_bytes: int = INBOX_MAX_BYTES
    """Bytes of messages that may wait for a node."""

    @classmethod
    def of(cls, settings: BrokerSettings) -> "Limits":
        """As the settings of a node have them."""
        return cls(
            session_expiry_ms=settings.session_expiry * 1000,
            queue_max_length=settings.queue_max_length,
            queue_max_age_ms=settings.queue_max_age * 1000,
            retained_max=settings.retained_max,
            retained_max_bytes=settings.retained_max_bytes,
            retained_anonymous_max=settings.retained_anonymous_max,
            retained_anonymous_max_bytes=settings.retained_anonymous_max_bytes,
            queue_positions_max_age_ms=settings.queue_positions_max_age * 1000,
            sessions_max=settings.sessions_max,
            sessions_user_max=settings.sessions_user_max,
            queue_max_bytes=settings.queue_max_bytes,
            sessions_user_max_bytes=settings.sessions_user_max_bytes,
            sessions_max_bytes=settings.sessions_max_bytes,
            inbox_max_bytes=settings.inbox_max_bytes,
        )

    @property
    def of_queues(self) -> tuple[int, ...]:
        """As the scripts want them (queue.lua)."""
        return (
            self.queue_max_length,
            self.queue_max_age_ms,
            self.queue_max_bytes,
            self.sessions_user_max_bytes,
            self.sessions_max_bytes,
            self.queue_positions_max_age_ms,
        )

    @property
    def of_retained(self) -> tuple[int, ...]:
        """As the scripts want them (retain.lua)."""
        return (
            self.retained_max,
            self.retained_max_bytes,
            self.retained_anonymous_max,
            self.retained_anonymous_max_bytes,
        )


@dataclass(slots=True)
class Dropped:
    """Messages that were dropped, as far as this node did it."""

    inbox: int = 0
    """Another node had `inbox_max_bytes` waiting."""
    queue_length: int = 0
    """A persistent session had `queue_max_length` waiting."""
    queue_age: int = 0
    """They had waited for `queue_max_age_ms`, or as positions for `queue_positions_max_age_ms`."""
    queue_bytes: int = 0
    """A persistent session had `queue_max_bytes` waiting."""
    user_bytes: int = 0
    """All sessions of its owner had `sessions_user_max_bytes`."""
    all_bytes: int = 0
    """All sessions had `sessions_max_bytes`."""
    retained: int = 0
    """They were delivered, but not retained: there was no room."""

    def add(self, lost: Losses, throttle: LogThrottle) -> None:
        """Count what a script has dropped from queues, and say where a user or all have no room."""
        length, age, size, user, everybody, owner = lost
        self.queue_length += length
        self.queue_age += age
        self.queue_bytes += size
        self.user_bytes += user
        self.all_bytes += everybody
        if user and throttle.lets_through(owner):
            _log.warning("no room for messages of a user's sessions", user=owner, see="SESSIONS_USER_MAX_BYTES")
        if everybody and throttle.lets_through("all"):
            _log.warning("no room for messages of anybody's sessions", see="SESSIONS_MAX_BYTES")


@dataclass(slots=True)
class Usage:
    """What the whole cluster holds in Redis, as of this node's last heartbeat."""

    retained: int = 0
    retained_bytes: int = 0
    retained_anonymous: int = 0
    retained_anonymous_bytes: int = 0
    sessions: int = 0
    """Persistent ones."""
    session_bytes: int = 0
    """What waits for them, and their subscriptions."""
