"""Positions over HTTP, for devices that cannot speak MQTT: the same stream, the same rules, the same limit."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from pydantic import Field

from api.http.instants import Rfc3339
from api.http.kinds import Kind
from api.http.problems import ProblemError, WrongParameter, wrong_parameters
from api.http.shared_limits import SharedLimits
from core.clock import Clock, to_milliseconds
from core.errors import UnavailableError
from core.kinds import KindId, Kinds, Role
from core.messages import RawMessage
from runtime.ages import too_old
from state.client import Redis
from state.entries import encode_entry, group_of
from state.newest_input import note_newest_input
from state.raw import Raw
from state.server import RedisWatch
from state.slots import partition_of

MAX_PAYLOAD = 65_536
"""Bytes of a message in base64, as brokers take it. Plain GeoJSON of three quarters of that fits."""
MAX_PLAIN = MAX_PAYLOAD // 4 * 3
APPEND_SECONDS = 5.0
"""How long an append may take, Redis's own sync to disk included."""
FULL_RETRY_SECONDS = 5
SENDER = Role.GATEWAY
"""The role that decoders see: a key may speak for many devices."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is kept, and will be decoded."""

    kind: Annotated[Kind, Field(description="What its devices are.", examples=["car"])]
    received_at: Annotated[
        Rfc3339,
        Field(
            description="When it was received, RFC 3339, UTC: what a feature without a timestamp counts for.",
            examples=["2019-02-18T08:58:06.120Z"],
        ),
    ]


class _GeoJson(msgspec.Struct):
    # A bare Point names no device, and who sends over HTTP is none.
    type: Literal["Feature", "FeatureCollection"]


class _Properties(msgspec.Struct):
    timestamp: datetime | float | None = None


class _Feature(msgspec.Struct):
    properties: _Properties | None = None


class _Features(msgspec.Struct):
    """A FeatureCollection, or a Feature, which has no list of them."""

    features: list[msgspec.Raw] | None = None


def payload_of(body: bytes, *, now: int, ages: Mapping[Role, int]) -> bytes:
    """The message as a device would publish it, in base64, from a body that is that or the GeoJSON itself.

    Only what can hold no position at all is refused here: 413 for what is too large, 422 for what is not base64, not
    JSON, or no GeoJSON of a type that is read; and 422 for a position that is older than `ages` (milliseconds by role)
    lets a gateway send. For all else the decoder's rules hold, as for MQTT. `now` is in milliseconds since the epoch.
    """
    text = body.strip()
    if not text:
        raise _wrong_body("it is empty: send a GeoJSON Feature with a Point, or several in a FeatureCollection")
    # No base64 begins with a brace or a bracket.
    if text[:1] in {b"{", b"["}:
        if len(text) > MAX_PLAIN:
            raise _too_large(len(text), f"{MAX_PLAIN:,} bytes of GeoJSON, which are {MAX_PAYLOAD:,} of base64")
        _check(text)
        _check_ages(text, now, ages)
        return base64.b64encode(text)
    if len(text) > MAX_PAYLOAD:
        raise _too_large(len(text), f"{MAX_PAYLOAD:,} bytes of base64")
    try:
        decoded = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise _wrong_body("neither GeoJSON nor standard base64 (RFC 4648, section 4) of it") from error
    _check(decoded)
    _check_ages(decoded, now, ages)
    return text


def _check(text: bytes) -> None:
    try:
        text.decode()
        msgspec.json.decode(text, type=_GeoJson)
    except UnicodeDecodeError as error:
        raise _wrong_body("not UTF-8") from error
    except msgspec.ValidationError as error:
        detail = "not a GeoJSON Feature with a Point, nor a FeatureCollection of such"
        raise _wrong_body(detail) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise _wrong_body(f"not JSON: {str(error)[:200]}") from error


def _check_ages(text: bytes, now: int, ages: Mapping[Role, int]) -> None:
    """Refuse what is too old, as far as a time can be read; the decoder makes dead letters of what cannot be used."""
    if SENDER not in ages:
        return
    with suppress(msgspec.DecodeError, RecursionError):
        features = msgspec.json.decode(text, type=_Features).features
        for number, feature in enumerate([msgspec.Raw(text)] if features is None else features):
            with suppress(msgspec.DecodeError, RecursionError):
                properties = msgspec.json.decode(feature, type=_Feature).properties
                observed_at = _milliseconds(properties.timestamp if properties else None)
                if observed_at is not None and too_old(observed_at, now, SENDER, ages):
                    where = "the feature" if features is None else f"features[{number}]"
                    raise _wrong_body(f"{where}: its timestamp is older than POSITION_MAX_AGE lets a {SENDER} send")


def _milliseconds(timestamp: datetime | float | None) -> int | None:
    if isinstance(timestamp, datetime):
        return to_milliseconds(timestamp) if timestamp.tzinfo else None
    return None if timestamp is None else int(timestamp)


@dataclass(frozen=True, kw_only=True)
class Ingest:
    """How positions are taken, as durable as Redis makes what a broker appends."""

    kinds: Kinds
    redis: Redis
    raw: Raw
    partitions: int
    max_length: int
    """Messages that may wait for a decoder."""
    ages: Mapping[Role, int]
    """How old a position may be, milliseconds by role."""
    watch: RedisWatch
    """How full Redis is, and whether it may be used."""
    limit: SharedLimits | None
    """How many positions each key may send: keys are gateways. None where gateways have no limit."""
    clock: Clock

    async def append(self, payload: bytes, *, kind: KindId, user: str) -> int:
        """Append a message to a stream `raw`; when it was received, in milliseconds since the epoch.

        It is there when this returns. `user` is who sent it, and may speak for many devices, as a gateway may. Raises
        503 where too many messages wait already, and UnavailableError where Redis does not answer: it may be there
        then or not, and it does no harm to send it again.
        """
        received_at = self.clock()
        message = RawMessage(self.kinds[kind].topic, user, SENDER.name, received_at, payload)
        # Nothing depends on the order: this spreads what one sender sends.
        partition = partition_of(payload.decode("ascii"), self.partitions)
        try:
            async with asyncio.timeout(APPEND_SECONDS):
                appended = await self.raw.append(partition, [encode_entry([group_of(message)])], most=self.max_length)
                with suppress(UnavailableError):  # it is kept, and that is what matters
                    await note_newest_input(self.redis, {kind: received_at})
        except TimeoutError as error:
            raise UnavailableError(f"Redis did not answer within {APPEND_SECONDS} s") from error
        if not appended.taken:
            raise ProblemError(
                status=503,
                type_="/docs#unavailable",
                title="A store is away",
                detail="Too many messages wait to be decoded, so this one was not taken. "
                f"Try again in {FULL_RETRY_SECONDS} s.",
                headers={"Retry-After": str(FULL_RETRY_SECONDS)},
            )
        return received_at


def _wrong_body(detail: str) -> ProblemError:
    return wrong_parameters([WrongParameter("body", detail)])


def _too_large(size: int, most: str) -> ProblemError:
    return ProblemError(
        status=413,
        type_="/docs#too-large",
        title="The body is too large",
        detail=f"It has {size:,} bytes, and a message has {most} at the most: send the features in several messages.",
    )
