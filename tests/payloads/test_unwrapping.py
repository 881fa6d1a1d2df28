"""However a message is wrapped, the position in it is the same."""

import base64
import gzip
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidMessageError, Reason
from payloads import Ignored, Refusal, read
from payloads.unwrapping import text_of
from tests.payloads.messages import as_json, encoded, feature, fix, sender

packed = partial(gzip.compress, mtime=0)
PLAIN = as_json(feature(name="größe ???>>>"))
BASE64 = base64.b64encode(PLAIN)

WRAPPED = {
    "standard base64": BASE64,
    "plain": PLAIN,
    "plain, with blanks around it": b"\r\n\t " + PLAIN + b"\n",
    "plain, with a byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "plain, with a zero at its end": PLAIN + b"\0",
    "plain, ended as on a terminal": b"\xef\xbb\xbf " + PLAIN + b"\0\r\n",
    "lines of 76": base64.encodebytes(PLAIN),
    "lines ended by both": base64.encodebytes(PLAIN).replace(b"\n", b"\r\n"),
    "base64url": base64.urlsafe_b64encode(PLAIN),
    "without padding": BASE64.rstrip(b"="),
    "base64url without padding": base64.urlsafe_b64encode(PLAIN).rstrip(b"="),
    "base64 with a zero at its end": BASE64 + b"\0",
    "base64 of a byte order mark": base64.b64encode(b"\xef\xbb\xbf" + PLAIN),
    "base64 of blanks": base64.b64encode(b"\n" + PLAIN + b"\n"),
    "base64 twice": base64.b64encode(BASE64),
    "gzip": packed(PLAIN),
    "gzip with a line end": packed(PLAIN) + b"\n",
    "gzip in base64": base64.b64encode(packed(PLAIN)),
    "base64 in gzip": packed(BASE64),
    "base64 in gzip in base64": base64.b64encode(packed(BASE64)),
}


@pytest.mark.parametrize("payload", WRAPPED.values(), ids=WRAPPED)
def test_a_position_is_the_same_however_it_is_wrapped(payload: bytes) -> None:
    assert read(payload, sender()) == [fix()]


@pytest.mark.parametrize(
    ("payload", "reason", "sentence"),
    [
        (PLAIN.decode().encode("utf-16"), Reason.NOT_JSON, "a text in UTF-16: send UTF-8"),
        (PLAIN.decode().encode("utf-16-le"), Reason.NOT_JSON, "a text in UTF-16-LE: send UTF-8"),
        (PLAIN.decode().encode("utf-16-be"), Reason.NOT_JSON, "a text in UTF-16-BE: send UTF-8"),
        (PLAIN.decode().encode("utf-32"), Reason.NOT_JSON, "a text in UTF-32: send UTF-8"),
        (PLAIN.decode().encode("utf-32-be"), Reason.NOT_JSON, "a text in UTF-32-BE: send UTF-8"),
        (BASE64.decode().encode("utf-16"), Reason.NOT_JSON, "a text in UTF-16: send UTF-8"),
        (base64.b64encode(PLAIN.decode().encode("utf-16")), Reason.NOT_JSON, "a text in UTF-16: send UTF-8"),
        ('{"type": "größe"}'.encode("latin-1"), Reason.NOT_JSON, "not in UTF-8"),
        (b"  ", Reason.NOT_JSON, "nothing in it"),
        (b"\0", Reason.NOT_JSON, "nothing in it"),
        (b"%%%", Reason.NOT_BASE64, "neither JSON nor base64"),
        (b"lat=52.6733&lon=-8.5734", Reason.NOT_BASE64, "neither JSON nor base64"),
        (b"\0\1\2\3\xff\xfe", Reason.NOT_BASE64, "neither JSON nor base64"),
        (base64.b64encode(b"not json"), Reason.NOT_JSON, "in the base64 or gzip"),
        (packed(b"lat=52.6733&lon=-8.5734"), Reason.NOT_JSON, "in the base64 or gzip"),
        (packed(b""), Reason.NOT_JSON, "nothing in it"),
        (packed(PLAIN)[:-9], Reason.NOT_JSON, "cut off"),
        (packed(PLAIN) + b"more", Reason.NOT_JSON, "more after the gzip"),
        (b"\x1f\x8bno gzip", Reason.NOT_JSON, "begins as gzip does"),
        (packed(b" " * 65_537), Reason.TOO_LARGE, "more than 65,536 bytes"),
        (packed(b" " * 10_000_000), Reason.TOO_LARGE, "more than 65,536 bytes"),
        (packed(packed(PLAIN)), Reason.NOT_JSON, "outermost"),
        (base64.b64encode(base64.b64encode(packed(PLAIN))), Reason.NOT_JSON, "outermost"),
        (b" " + base64.b64encode(packed(PLAIN)), Reason.NOT_JSON, "outermost"),
        (packed(PLAIN) + b"\0", Reason.NOT_JSON, "more after the gzip"),
        (base64.b64encode(base64.b64encode(base64.b64encode(BASE64))), Reason.NOT_JSON, "3 layers"),
        (base64.b64encode(b'"gr\xfc\xdfe"'), Reason.NOT_JSON, "in the base64 or gzip"),
        (base64.b64encode(b"7"), Reason.NOT_GEOJSON, "not a GeoJSON object"),
        (base64.b64encode(b'"text"'), Reason.NOT_GEOJSON, "not a GeoJSON object"),
        (PLAIN[:-1], Reason.NOT_JSON, "truncated"),
        (PLAIN + b"}", Reason.NOT_JSON, "trailing"),
    ],
)
def test_what_cannot_be_unwrapped_has_a_reason_that_says_why(payload: bytes, reason: Reason, sentence: str) -> None:
    (refused,) = read(payload, sender())
    assert isinstance(refused, Refusal)
    assert (refused.error.reason, refused.index, refused.member) == (reason, None, None)
    assert sentence in refused.error.detail


def test_gzip_that_unpacks_to_65536_bytes_is_read() -> None:
    assert read(packed(PLAIN.ljust(65_536)), sender()) == [fix()]


def test_zlib_is_not_taken_for_gzip() -> None:
    (refused,) = read(zlib.compress(PLAIN), sender())
    assert isinstance(refused, Refusal)
    assert refused.error.reason == Reason.NOT_BASE64


def test_an_empty_message_is_how_mqtt_clears_a_topic() -> None:
    assert read(b"", sender()) == [Ignored("empty")]


in_base64 = st.sampled_from([base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
some_bytes = st.binary(max_size=300)


@given(
    inner=st.lists(in_base64, max_size=3),
    outer=st.sampled_from([[], [packed], [packed, base64.b64encode], [packed, base64.encodebytes]]),
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
def test_three_layers_are_taken_off_and_gzip_once(
    inner: list[Callable[[bytes], bytes]], outer: list[Callable[[bytes], bytes]], name: str
) -> None:
    data = document = as_json(feature(name=name))
    for wrap in [*inner, *outer][-3:]:
        data = wrap(data)
    assert text_of(data) == document
    assert read(data, sender()) == [fix()]


@given(some_bytes | some_bytes.map(packed) | some_bytes.map(base64.encodebytes))
def test_any_bytes_hold_a_text_in_utf_8_or_are_refused(payload: bytes) -> None:
    with suppress(InvalidMessageError):
        text = text_of(payload)
        assert text.decode()
        assert len(text) <= 65_536


def test_what_was_read_before_is_read_the_same() -> None:
    collection = {"type": "FeatureCollection", "features": [feature(), feature(device_id="car", speed=3)]}
    assert read(encoded(collection), sender()) == [fix(), fix("car", speed=3)]
