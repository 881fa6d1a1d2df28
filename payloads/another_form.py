"""JSON that is not our GeoJSON as it is usually sent: of an app, or written a little differently."""

from collections.abc import Mapping, Sequence

import msgspec

from payloads.diagnosis import refuse_document, refuse_member
from payloads.fix import Fix, Outcome, Sender
from payloads.formats import FORMATS, Format, Head
from payloads.loose import fix_of_feature, fix_of_point
from payloads.objects import DECODE_ERRORS

_GEOJSON = (b'"Feature"', b'"Point"', b'"FeatureCollection"')
_decode_head = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw]).decode
_decode_any = msgspec.json.Decoder().decode


def in_another_form(text: bytes, error: Exception, sender: Sender) -> Fix | list[Outcome]:
    """What a document holds that could not be decoded in one step; `error` says why.

    Raises InvalidMessageError where nothing can be made of all of it.
    """
    try:
        head = _decode_head(text)
    except DECODE_ERRORS:
        refuse_document(text, error)
    form = _form_of(head)
    if form is not None:
        return form.read(head, text, sender)
    fix = _loose(text, sender)
    if fix is None:
        refuse_document(text, error)
    return fix


def member_in_another_form(text: bytes, error: Exception, sender: Sender) -> Fix:
    """The same for a member of a FeatureCollection, which is a Feature."""
    try:
        feature = _decode_any(text)
    except DECODE_ERRORS:
        refuse_member(text, error)
    fix = fix_of_feature(feature, sender) if isinstance(feature, dict) else None
    if fix is None:
        refuse_member(text, error)
    return fix


def insists(text: bytes) -> bool:
    """Whether JSON is of an app that sends it over HTTP again and again until it is answered as one that was taken."""
    try:
        form = _form_of(_decode_head(text))
    except DECODE_ERRORS:
        return False
    return form is not None and form.insists


def _form_of(head: Head) -> Format | None:
    return None if _is_geojson(head) else next((form for form in FORMATS if form.matches(head)), None)


def _is_geojson(head: Mapping[str, msgspec.Raw] | Sequence[msgspec.Raw]) -> bool:
    return isinstance(head, Mapping) and bytes(head.get("type", b"")) in _GEOJSON


def _loose(text: bytes, sender: Sender) -> Fix | None:
    try:
        found = _decode_any(text)
    except DECODE_ERRORS:
        return None
    if not isinstance(found, dict):
        return None
    return fix_of_feature(found, sender) or fix_of_point(found, sender)
