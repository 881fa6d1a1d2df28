"""A device with a geofence of its own: what it sends and when, and what it never sends.

A machine without I/O, clock or chance, small enough to be written again for a phone: `device.js` beside it is the same
in JavaScript, and `device_vectors.json` holds both to one behaviour. Facts go in, each with the time in milliseconds
since the epoch by the device's own clock; commands come out, and whoever drives it carries them out in their order. A
driver answers `Connect` with `connected` or `lost`, and `FetchOutline` with `outline`, or with nothing where there was
no answer, or no news.

Outside the campus nothing is sent and nothing is kept, and where the campus is not known nothing is either:
law 4, no trace, begins here. The first place outside would tell where somebody goes: so who leaves is not reported, and
fades after PRESENCE_TTL.
"""

import math
from bisect import insort
from dataclasses import dataclass

from simulator.fix import Fix
from simulator.message import encoded, feature
from simulator.outline import Rings, is_inside, metres_between

PAYLOAD_JSON_MAX = 49_152
"""Bytes of JSON in the 64 KiB of base64 that a payload may have."""
FEATURE_BYTES_MAX = 360
"""Of one feature, without its device id: six numbers of 24 characters, a time, and the names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How much a device sends and keeps."""

    moving_seconds: int = 5
    """Between two positions of a device that moves."""
    still_seconds: int = 60
    """And of one that stands still: below PRESENCE_TTL (300), or it would vanish."""
    still_metres: float = 15
    """Standing still: so near to the last position sent, or nearer than the receiver's own accuracy can tell."""
    unsent_max: int = 1000
    """Positions that are kept until they are acknowledged; beyond them the oldest are dropped."""
    unsent_age_seconds: int = 86_400
    """An older one is dropped."""
    collection_max: int = 100
    """Positions in one message, at the most."""
    outline_seconds: int = 300
    """Between two questions for the outline of the campus."""
    outline_retry_seconds: int = 30
    """And while there is none."""
    linger_seconds: int = 300
    """Whoever was not on the campus for so long, and has nothing to send, closes the connection."""
    backoff_seconds: int = 1
    backoff_max_seconds: int = 60


@dataclass(frozen=True, slots=True)
class Connect:
    """Open an MQTT connection, with this device's own client id and its persistent session (`clean` is false)."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close it: nothing is waiting for an acknowledgement."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish at QoS 1, once, and say `acknowledged(packet)` when the PUBACK comes. What is lost it repeats itself."""

    packet: int
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class FetchOutline:
    """Ask `GET /v1/zones`, with `If-None-Match` where there is an ETag."""

    etag: str | None


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Call `tick` at this time, milliseconds since the epoch; it replaces the one before."""

    at_ms: int


Command = Connect | Disconnect | Publish | FetchOutline | WakeAt
DEFAULT_POLICY = Policy()


class Device:
    """One device. `topic` is that of its kind; `device_id` the plain one."""

    def __init__(self, device_id: str, topic: str, policy: Policy = DEFAULT_POLICY) -> None:
        self.dropped = 0
        """Positions that were on the campus and were given up: too many, or too old."""
        self.inside: bool | None = None
        """Whether the last fix was on the campus; None before the first, and while the outline is not known."""
        self._device_id = device_id
        self._topic = topic
        self._policy = policy
        longest = FEATURE_BYTES_MAX + len(encoded({"": device_id}))  # base64 is longer than what it stands for
        self._collection = max(1, min(policy.collection_max, PAYLOAD_JSON_MAX // longest))
        self._rings: Rings | None = None
        self._etag: str | None = None
        self._outline_at = 0
        self._outline_is_old = False
        self._unsent: list[Fix] = []  # the oldest first
        self._under_way: list[Fix] = []
        self._packet = 0
        self._taken: Fix | None = None
        self._newest_acknowledged = -1
        self._inside_at = 0
        self._link = "away"  # or "connecting", or "connected"
        self._retry_at = 0
        self._attempts = 0
        self._wake_at: int | None = None

    @property
    def unsent(self) -> int:
        """Positions that nobody has acknowledged yet."""
        return len(self._unsent) + len(self._under_way)

    def outline(self, rings: Rings | None, etag: str | None, now_ms: int) -> list[Command]:
        """The campus is this one now; None where nobody may know it, and then nothing is sent, and nothing kept."""
        self._rings, self._etag = rings, etag
        self.inside = None
        self._unsent = [fix for fix in self._unsent if self._is_inside(fix)]
        if rings is not None:
            self._outline_at = now_ms + self._policy.outline_seconds * 1000
        return self._commands(now_ms)

    def fix(self, fix: Fix, now_ms: int) -> list[Command]:
        """The receiver has a position."""
        self.inside = self._is_inside(fix) if self._rings is not None else None
        if self.inside:
            self._inside_at = now_ms
            if self._is_worth_sending(fix):
                self._taken = fix
                insort(self._unsent, fix, key=lambda kept: kept.at_ms)
        return self._commands(now_ms)

    def connected(self, now_ms: int) -> list[Command]:
        """There is a connection, and the server has let the device in."""
        self._link = "connected"
        if self._outline_is_old:
            self._outline_is_old = False
            self._outline_at = now_ms
        return self._commands(now_ms)

    def lost(self, now_ms: int, chance: float) -> list[Command]:
        """The connection broke, or came to nothing. `chance`, 0 to 1, makes devices come back one after another."""
        if self._link != "away":
            self._link = "away"
            self._outline_is_old = True
            policy = self._policy
            wait = min(policy.backoff_max_seconds, policy.backoff_seconds * 2 ** min(self._attempts, 16))
            self._retry_at = now_ms + math.ceil(wait * (0.5 + chance / 2) * 1000)
            self._attempts += 1
            # Whether they have arrived nobody knows: they are sent again, and count once (law 2, any order).
            again = [fix for fix in self._under_way if self._is_inside(fix)]
            self._unsent = sorted(again + self._unsent, key=lambda fix: fix.at_ms)
            self._under_way = []
        return self._commands(now_ms)

    def acknowledged(self, packet: int, now_ms: int) -> list[Command]:
        """The PUBACK of a `Publish` has come."""
        if self._under_way and packet == self._packet:
            self._newest_acknowledged = max(self._newest_acknowledged, self._under_way[-1].at_ms)
            self._under_way = []
            # Only now: a server that lets in and then closes at once is not asked once a second.
            self._attempts = 0
        return self._commands(now_ms)

    def tick(self, now_ms: int) -> list[Command]:
        """It is time: what the last `WakeAt` has asked for, and the way to begin."""
        return self._commands(now_ms)

    def _commands(self, now_ms: int) -> list[Command]:
        policy = self._policy
        commands: list[Command] = []
        # A clock that is put back must not make anybody wait for longer than usual.
        self._outline_at = min(self._outline_at, now_ms + policy.outline_seconds * 1000)
        self._retry_at = min(self._retry_at, now_ms + policy.backoff_max_seconds * 1000)
        self._inside_at = min(self._inside_at, now_ms)
        self._give_up(now_ms)
        if now_ms >= self._outline_at:
            seconds = policy.outline_seconds if self._rings is not None else policy.outline_retry_seconds
            self._outline_at = now_ms + seconds * 1000
            commands.append(FetchOutline(self._etag))
        if self._link == "away" and self._unsent and now_ms >= self._retry_at:
            self._link = "connecting"
            commands.append(Connect())
        leave_at = self._inside_at + policy.linger_seconds * 1000
        if self._link == "connected" and not self._under_way:
            if self._unsent:
                commands.append(self._publish())
            elif now_ms >= leave_at:
                self._link = "away"
                commands.append(Disconnect())
        due = [self._outline_at]
        if self._link == "away" and self._unsent:
            due.append(self._retry_at)
        if self._link == "connected" and not self._under_way:
            due.append(leave_at)
        if min(due) != self._wake_at:
            self._wake_at = min(due)
            commands.append(WakeAt(self._wake_at))
        return commands

    def _give_up(self, now_ms: int) -> None:
        oldest = now_ms - self._policy.unsent_age_seconds * 1000
        while self._unsent and (self._unsent[0].at_ms < oldest or self.unsent > self._policy.unsent_max):
            del self._unsent[0]
            self.dropped += 1

    def _publish(self) -> Publish:
        """The newest goes first, alone, for it says where the device is; then what waited, the oldest first."""
        self._packet += 1
        if self._unsent[-1].at_ms > self._newest_acknowledged:
            self._under_way = [self._unsent.pop()]
        else:
            self._under_way = self._unsent[: self._collection]
            del self._unsent[: self._collection]
        features = [feature(fix, self._device_id) for fix in self._under_way]
        message = features[0] if len(features) == 1 else {"type": "FeatureCollection", "features": features}
        return Publish(self._packet, self._topic, encoded(message))

    def _is_inside(self, fix: Fix) -> bool:
        return self._rings is not None and is_inside(self._rings, fix.longitude, fix.latitude)

    def _is_worth_sending(self, fix: Fix) -> bool:
        last = self._taken
        if last is None:
            return True
        still = metres_between(last.longitude, last.latitude, fix.longitude, fix.latitude) <= max(
            self._policy.still_metres, fix.accuracy or 0
        )
        seconds = self._policy.still_seconds if still else self._policy.moving_seconds
        # Either way: a clock may have been put back.
        return abs(fix.at_ms - last.at_ms) >= seconds * 1000
