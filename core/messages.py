"""The messages between the stages: frozen values that own their wire format."""

import re
from dataclasses import dataclass

import msgspec

from core.errors import Reason
from core.kinds import KIND_ID, KindId, Role


class RawMessage(msgspec.Struct, frozen=True, gc=False):
    """What a broker accepted, before anything was decoded."""

    topic: str
    user: str
    """The MQTT user name, empty for an anonymous client."""
    role: str
    """The name of the user's role, which need not be one that the reader knows."""
    received_at: int
    """Milliseconds since the epoch, by the broker's clock."""
    payload: bytes
    refused: Reason | None = None
    """Set where the broker refused the payload and kept none of it; the decoder makes the dead letter."""

    def encode(self) -> dict[bytes | str, bytes | str | int]:
        """The fields of an entry of the stream `raw`; names are one letter, since a stream repeats them."""
        fields: dict[bytes | str, bytes | str | int] = {
            "t": self.topic,
            "u": self.user,
            "r": self.role,
            "a": self.received_at,
            "p": self.payload,
        }
        if self.refused is not None:
            fields["x"] = self.refused.value
        return fields

    @classmethod
    def decode(cls, fields: dict[bytes, bytes]) -> "RawMessage":
        """The message in a stream entry. Raises KeyError or ValueError if no broker of ours wrote it."""
        refused = fields.get(b"x")
        return cls(
            fields[b"t"].decode(),
            fields[b"u"].decode(),
            fields[b"r"].decode(),
            int(fields[b"a"]),
            fields[b"p"],
            Reason(refused.decode()) if refused else None,
        )


class Position(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A device that was somewhere on the campus. Positions outside never become one."""

    kind: KindId
    device: str
    """Keyed hash of the device id: 32 hexadecimal digits."""
    observed_at: int
    """Event time, milliseconds since the epoch."""
    received_at: int
    """When the broker received it, milliseconds since the epoch."""
    longitude: float
    """Degrees east, WGS 84."""
    latitude: float
    """Degrees north, WGS 84."""
    zones: tuple[str, ...]
    """Ids of the zones in which it counts: those that hold it, the campus first, the others in alphabetical order."""
    cell: str
    """Geohash of the place, 8 characters: about 38 m by 19 m at the equator."""
    altitude: float | None = None
    """Metres."""
    accuracy: float | None = None
    """Metres."""
    speed: float | None = None
    """Metres a second."""
    heading: float | None = None
    """Degrees clockwise from true north, 0 to 360."""
    fence: str = ""
    """Version of the campus that the zones were found with."""
    implausible: bool = False
    """Whether the device could only have come here faster than IMPLAUSIBLE_SPEED from where it was last known to be.
    It depends on the order of arrival, so nothing that is counted depends on it."""
    inaccurate: bool = False
    """Whether it is so inaccurate (MAX_ACCURACY) that it counts in none of the zones that hold it but the campus, or
    (MAX_ACCURACY_CAMPUS) not even there: `zones` are those in which it counts."""


IMPLAUSIBLE = b"i"
"""Field of an entry of `positions`: indices of the positions that are implausible, joined by commas."""
_kind_id = re.compile(KIND_ID, re.ASCII)
_positions_encoder = msgspec.msgpack.Encoder()
_positions_decoder = msgspec.msgpack.Decoder(list[Position])


def encode_positions(positions: list[Position]) -> bytes:
    """Several positions as the one field of an entry of the stream `positions` (MessagePack)."""
    return _positions_encoder.encode(positions)


def decode_positions(fields: dict[bytes, bytes]) -> list[Position]:
    """The positions of an entry of the stream `positions`, also those of a kind that the reader does not know.

    Raises KeyError, ValueError or msgspec.DecodeError if no decoder of ours wrote it.
    """
    positions = _positions_decoder.decode(fields[b"d"])
    for kind in {position.kind for position in positions}:
        if not _kind_id.fullmatch(kind):
            raise ValueError(f"{kind[:40]!r} is no kind")
    marks = fields.get(IMPLAUSIBLE)
    for index in map(int, marks.split(b",")) if marks else ():
        positions[index] = msgspec.structs.replace(positions[index], implausible=True)
    return positions


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message, or one feature of a message, that could not be used."""

    reason: Reason
    detail: str
    """A sentence for people; never a coordinate or a device id."""
    topic: str
    received_at: int
    """Milliseconds since the epoch."""
    payload: bytes | None
    """What could not be used, as a device could send it: base64. Of a message of which only one feature was bad, that
    feature. None unless each place in it is known and on the campus, for nothing may be kept of others."""
    user: str = ""
    """The MQTT user who sent it, empty for an anonymous client and where the payload is not kept."""
    role: str = Role.ANONYMOUS.name
    """The name of that user's role."""
    size: int | None = None
    """Bytes of what could not be used; None where nobody has looked at it."""
    shape: str = ""
    """Names of members and types of values in it, and no value (`decoder.shape`)."""

    def encode(self) -> dict[bytes | str, bytes | str | int]:
        """The fields of an entry of the stream `dead`."""
        fields: dict[bytes | str, bytes | str | int] = {
            "reason": self.reason.value,
            "detail": self.detail,
            "topic": self.topic,
            "received_at": self.received_at,
        }
        if self.payload is not None:
            fields |= {"payload": self.payload, "user": self.user, "role": self.role}
        if self.size is not None:
            fields["size"] = self.size
        if self.shape:
            fields["shape"] = self.shape
        return fields

    @classmethod
    def decode(cls, fields: dict[bytes, bytes]) -> "DeadLetter":
        """The dead letter in a stream entry."""
        return cls(
            reason=Reason(fields[b"reason"].decode()),
            detail=fields[b"detail"].decode(),
            topic=fields[b"topic"].decode(),
            received_at=int(fields[b"received_at"]),
            payload=fields.get(b"payload"),
            user=fields.get(b"user", b"").decode(),
            role=fields[b"role"].decode() if b"role" in fields else Role.ANONYMOUS.name,
            size=int(fields[b"size"]) if b"size" in fields else None,
            shape=fields.get(b"shape", b"").decode(),
        )
