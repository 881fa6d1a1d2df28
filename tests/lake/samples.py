"""Positions and windows for tests of the lake."""

from typing import Any

import msgspec

from core.clock import parse_rfc3339
from core.kinds import KindId
from core.messages import Position
from documents.document import document_id
from lake.rows import Row

ANN = "0123456789abcdef0123456789abcdef"
BOB = "fedcba9876543210fedcba9876543210"
POSITION = Position(
    kind=KindId("car"),
    device=ANN,
    observed_at=parse_rfc3339("2026-11-23T14:05:06.789Z"),
    received_at=parse_rfc3339("2026-11-23T14:05:07.001Z"),
    longitude=-8.5713,
    latitude=52.6735,
    zones=("campus", "library"),
    cell="gc3v1x2y",
)
FULL = msgspec.structs.replace(
    POSITION,
    kind=KindId("mobile"),
    altitude=12.5,
    accuracy=4.0,
    speed=1.25,
    heading=359.5,
    fence="0f1e2d3c",
    implausible=True,
    inaccurate=True,
)


def row(base: Position = POSITION, at: str = "", **changes: Any) -> Row:
    """A position that differs, at an RFC 3339 time, with the id of its document."""
    if at:
        changes["observed_at"] = parse_rfc3339(at)
    position = msgspec.structs.replace(base, **changes)
    return document_id(position), position
