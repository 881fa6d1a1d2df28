"""Positions and windows as records of Kafka: their topics, keys, values and headers."""

from collections.abc import Callable
from importlib import resources
from io import BytesIO
from typing import Any, Literal, NamedTuple

import msgspec

from core.clock import format_rfc3339
from core.errors import BadSettingsError
from core.messages import Position
from documents import document_id, to_document
from state.window_stream import ExportedWindow

POSITIONS_SCHEMA, OCCUPANCY_SCHEMA = "positions/1", "occupancy/1"
"""In the header `schema` of each record. A new member leaves it as it is; anything else is another number."""
Headers = list[tuple[str, str | bytes | None]]


class Topics(NamedTuple):
    """The names of the topics."""

    positions: str
    occupancy: str


class Record(NamedTuple):
    """What is sent."""

    topic: str
    key: str
    value: bytes
    headers: Headers
    name: str
    """How a sentence calls it."""


def topics_of(prefix: str) -> Topics:
    """The topics where KAFKA_TOPIC_PREFIX is `prefix`."""
    return Topics(f"{prefix}positions", f"{prefix}occupancy")


class Records:
    """Makes records of one format."""

    def __init__(
        self,
        topics: Topics,
        *,
        content_type: str,
        position: Callable[[Position], bytes],
        window: Callable[[ExportedWindow], bytes],
    ) -> None:
        self._topics = topics
        self._content_type = content_type
        self._position = position
        self._window = window

    def position(self, position: Position) -> Record:
        """All of one device have one key, so they stay in their order."""
        key = document_id(position)
        return Record(
            self._topics.positions,
            position.device,
            self._position(position),
            [("schema", POSITIONS_SCHEMA), ("content-type", self._content_type), ("id", key)],
            key,
        )

    def window(self, window: ExportedWindow) -> Record:
        """All of one window have one key: of these the topic keeps the newest."""
        key = f"{window.zone}|{window.kind}|{window.width}|{format_rfc3339(window.start)}"
        return Record(
            self._topics.occupancy,
            key,
            self._window(window),
            [("schema", OCCUPANCY_SCHEMA), ("content-type", self._content_type), ("id", key)],
            key,
        )


def records_of(format_: Literal["json", "avro"], prefix: str) -> Records:
    """What makes records of KAFKA_FORMAT. Raises BadSettingsError where a library is missing."""
    topics = topics_of(prefix)
    if format_ == "json":
        return Records(topics, content_type="application/json", position=_position_as_json, window=_window_as_json)
    return Records(
        topics, content_type="avro/binary", position=_avro("positions-1", _flat), window=_avro("occupancy-1", _members)
    )


def _position_as_json(position: Position) -> bytes:
    return msgspec.json.encode(to_document(position))


def _window_as_json(window: ExportedWindow) -> bytes:
    times = {name: format_rfc3339(getattr(window, name)) for name in ("start", "end", "written_at")}
    return msgspec.json.encode(_members(window) | times)


def _members(window: ExportedWindow) -> dict[str, Any]:
    return {name: getattr(window, name) for name in window.__struct_fields__}


def _flat(position: Position) -> dict[str, Any]:
    members: dict[str, Any] = {name: getattr(position, name) for name in position.__struct_fields__}
    return members | {"id": document_id(position), "zones": list(position.zones), "fence": position.fence or None}


def _avro(schema: str, members: Callable[[Any], dict[str, Any]]) -> Callable[[Any], bytes]:
    try:
        import fastavro  # noqa: PLC0415 - where KAFKA_FORMAT asks for it alone
    except ImportError as error:
        raise BadSettingsError(f"KAFKA_FORMAT: avro needs the extra `kafka`: {error}") from error
    text = resources.files("decoder.avro").joinpath(f"{schema}.avsc").read_text(encoding="utf-8")
    parsed = fastavro.parse_schema(msgspec.json.decode(text))

    def encode(value: object) -> bytes:
        buffer = BytesIO()
        fastavro.schemaless_writer(buffer, parsed, members(value))
        return buffer.getvalue()

    return encode
