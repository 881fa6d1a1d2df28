"""The one function that decides what is in a message, whichever way it came."""

from binascii import a2b_base64

import msgspec

from core.errors import InvalidMessageError, Reason
from payloads.another_form import in_another_form, insists, member_in_another_form
from payloads.checking import checked_count
from payloads.fix import Fix, Ignored, Outcome, Refusal, Sender
from payloads.geojson import Collection, decode_document, decode_member, fix_of
from payloads.objects import DECODE_ERRORS, has_member
from payloads.unwrapping import text_of


def read(payload: bytes, sender: Sender) -> list[Outcome]:
    """What a message holds: of each position a fix, or why it cannot be used. Never raises for what is in it."""
    found = read_at_once(payload, sender)
    return found if isinstance(found, list) else [found]


def comes_again(payload: bytes) -> bool:
    """Whether an app sends this message over HTTP again and again until it is answered as one that was taken."""
    try:
        return insists(text_of(payload))
    except InvalidMessageError:
        return False


def read_at_once(payload: bytes, sender: Sender) -> Fix | list[Outcome]:
    """The same, without a list around the one fix that nearly every message holds."""
    # Standard base64 of our GeoJSON is tried before anything is asked: it is what most send, and this is the hot path.
    try:
        text = a2b_base64(payload, strict_mode=True)
        if not text.isascii():
            text.decode()
        document = decode_document(text)
    except (ValueError, *DECODE_ERRORS):
        return _read_slowly(payload, sender)
    if isinstance(document, Collection):
        return _read_collection(document, sender)
    try:
        return fix_of(document, text, sender)
    except InvalidMessageError as error:
        return [Refusal(_explained(error, text))]


def _read_slowly(payload: bytes, sender: Sender) -> Fix | list[Outcome]:
    if not payload:
        return [Ignored("empty")]
    text = b""
    try:
        text = text_of(payload)
        try:
            document = decode_document(text)
        except DECODE_ERRORS as error:
            return in_another_form(text, error, sender)
        if isinstance(document, Collection):
            return _read_collection(document, sender)
        return fix_of(document, text, sender)
    except InvalidMessageError as error:
        return [Refusal(_explained(error, text))]


def _read_collection(collection: Collection, sender: Sender) -> list[Outcome]:
    try:
        checked_count(len(collection.features))
    except InvalidMessageError as error:
        return [Refusal(error)]
    return [_outcome(index, member, sender) for index, member in enumerate(collection.features)]


def _outcome(index: int, member: msgspec.Raw, sender: Sender) -> Outcome:
    try:
        try:
            feature = decode_member(member)
        except DECODE_ERRORS as error:
            return member_in_another_form(bytes(member), error, sender)
        return fix_of(feature, member, sender)
    except InvalidMessageError as error:
        return Refusal(_explained(error, bytes(member)), index, bytes(member))


def _explained(error: InvalidMessageError, text: bytes) -> InvalidMessageError:
    """Many take the `id` of a Feature for that of the device."""
    if error.reason is not Reason.NO_DEVICE or not has_member(text, "id"):
        return error
    return InvalidMessageError(
        Reason.NO_DEVICE, f"{error.detail}; the id of a Feature is none: put device_id into its properties"
    )
