"""A list of what may be sent alone, without the FeatureCollection around it."""

from collections.abc import Mapping
from typing import Any

from payloads.fix import Fix, Ignored, Outcome, Sender
from payloads.formats.form import Format, Head, each
from payloads.formats.gpslogger import fix_of_flat, is_flat
from payloads.formats.owntracks import fix_of_owntracks
from payloads.loose import fix_of_feature, why_none


def _fix_of(member: Mapping[str, Any], sender: Sender) -> Fix | Ignored:
    if "_type" in member:
        return fix_of_owntracks(member, sender)
    if "type" not in member and is_flat(member):
        return fix_of_flat(member, sender)
    fix = fix_of_feature(member, sender)
    if fix is None:
        raise why_none(member)
    return fix


def _read(head: Head, _: bytes, sender: Sender) -> list[Outcome]:
    return [] if isinstance(head, Mapping) else each(_fix_of, head, sender)


def _matches(head: Head) -> bool:
    return not isinstance(head, Mapping) and any(bytes(member).startswith(b"{") for member in head)


FEATURE_LIST = Format("a list", _matches, _read)
