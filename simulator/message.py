"""What a device publishes: a fix as base64 of GeoJSON."""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from core.clock import format_rfc3339
from simulator.fix import Fix

DEVICE_ID_MAX = 128
"""Characters in a device id, at the most."""


def payload(fix: Fix, device: str) -> bytes:
    """Standard base64 of a compact GeoJSON Feature (RFC 7946) in UTF-8; `device` is the plain device id."""
    return encoded(feature(fix, device))


def feature(fix: Fix, device: str) -> dict[str, Any]:
    """A fix as a Feature: what the receiver did not say is left out."""
    coordinates = [fix.longitude, fix.latitude]
    if fix.altitude is not None:
        coordinates.append(fix.altitude)
    properties: dict[str, str | float] = {"device_id": device, "timestamp": format_rfc3339(fix.at_ms)}
    for name in ("accuracy", "speed", "heading"):
        value: float | None = getattr(fix, name)
        if value is not None:
            properties[name] = value
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": coordinates},
        "properties": properties,
    }


def encoded(document: Mapping[str, Any]) -> bytes:
    """GeoJSON as it is published: compact JSON in UTF-8, in standard base64."""
    return base64.b64encode(msgspec.json.encode(document))
