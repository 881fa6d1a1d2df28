import base64
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.positions.naming import names

OWNTRACKS = json.dumps({"_type": "location", "lat": 52.67, "lon": -8.57, "tid": "b3", "topic": "owntracks/ann/b-3"})
PLAIN = json.dumps({"type": "Feature", "properties": {"device_id": "bus-304", "name": "Áras ???>>>"}}).encode()


@pytest.mark.parametrize(
    "payload",
    [
        PLAIN,
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN + b"\0",
        base64.b64encode(PLAIN),
        base64.encodebytes(PLAIN),
        base64.urlsafe_b64encode(PLAIN),
        base64.urlsafe_b64encode(PLAIN).rstrip(b"="),
        base64.b64encode(base64.b64encode(PLAIN)),
        gzip.compress(PLAIN, mtime=0),
        gzip.compress(PLAIN, mtime=0)[:-12],
        base64.b64encode(gzip.compress(PLAIN, mtime=0)),
        base64.b64encode(gzip.compress(base64.b64encode(PLAIN), mtime=0))[:-5],
        PLAIN.decode().encode("utf-16"),
        PLAIN.decode().encode("utf-16-le"),
        PLAIN.decode().encode("utf-16-be"),
        base64.b64encode(PLAIN.decode().encode("utf-16")),
        PLAIN[:-10],
        base64.b64encode(PLAIN)[:-6],
        json.dumps(PLAIN.decode()).encode(),
        json.dumps(base64.b64encode(PLAIN).decode()).encode(),
        b'{"locations":[' + PLAIN + b"]}",
    ],
)
def test_a_device_is_found_however_a_payload_is_wrapped_and_no_other(payload: bytes) -> None:
    assert names(payload, "bus-304")
    assert not names(payload, "bus-30")
    assert not names(payload, "us-304")


@pytest.mark.parametrize("device", ["b3", "owntracks/ann/b-3"])
def test_a_device_of_an_app_is_found_by_what_it_calls_itself(device: str) -> None:
    assert names(OWNTRACKS.encode(), device)
    assert names(base64.b64encode(OWNTRACKS.encode()), device)


def test_a_device_may_be_a_number_where_ids_are_and_nowhere_else() -> None:
    for member in ("device_id", "device", "uniqueId", "unique_id", "topic", "tid", "aid", "SER", "AndroidId", "serial"):
        assert names(json.dumps({"properties": {member: 42}}).encode(), "42")
    assert not names(b'{"accuracy":42}', "42")
    assert not names(b'{"device_id":true}', "True")
    assert not names(b'{"device_id":1' + b"0" * 5000 + b"}", "42")


def test_of_ten_megabytes_in_gzip_only_the_first_are_looked_at() -> None:
    assert names(gzip.compress(b"bus-304 " + b" " * 10_000_000), "bus-304")
    assert not names(gzip.compress(b" " * 10_000_000 + b"bus-304"), "bus-304")


@given(st.one_of(st.binary(max_size=100), st.binary(max_size=60).map(base64.b64encode)), st.text(max_size=10))
def test_whatever_a_payload_is_it_can_be_looked_into(payload: bytes, device: str) -> None:
    assert names(payload, device) in {True, False}


@given(st.binary(max_size=60).map(lambda tail: gzip.compress(PLAIN, mtime=0)[:30] + tail))
def test_gzip_that_is_broken_can_be_looked_into(payload: bytes) -> None:
    assert names(payload, "bus-304") in {True, False}
