import base64
import gzip
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadSettingsError, InvalidMessageError
from core.kinds import DEFAULT_KINDS, Role
from payloads import Fix, Sender, read
from payloads.unwrapping import text_of
from runtime.position_rates import Rate, RateSettings, cost_of, is_gzip, parse_rates, unpacked_size
from runtime.settings import load
from tests.kinds_of_tests import CAR_ROLE, MOBILE_ROLE


def test_by_default_devices_have_a_rate_and_gateways_services_and_anonymous_clients_have_none() -> None:
    assert parse_rates(load(RateSettings).position_rate, DEFAULT_KINDS) == {
        CAR_ROLE: Rate(100, 1000),
        MOBILE_ROLE: Rate(100, 1000),
    }


def test_a_rate_has_a_burst_or_is_one() -> None:
    assert parse_rates(" car=0.5:20, gateway=2000 ,", DEFAULT_KINDS) == {
        CAR_ROLE: Rate(0.5, 20),
        Role.GATEWAY: Rate(2000, 2000),
    }
    assert parse_rates(",", DEFAULT_KINDS) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("car", "role=rate:burst"),
        ("bus=1", "anonymous, car, mobile, gateway, service"),
        ("car=fast", "role=rate:burst"),
        ("car=0", "above 0"),
        ("car=nan", "above 0"),
        ("car=inf", "above 0"),
        ("car=1:0", "above 0"),
        ("car=1,car=2", "twice"),
    ],
)
def test_what_is_no_rate_is_said(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.setenv("POSITION_RATE", text)
    with pytest.raises(BadSettingsError, match=f"POSITION_RATE: .*{said}"):
        load(RateSettings).position_rates(DEFAULT_KINDS)


@pytest.mark.parametrize(("size", "cost"), [(0, 1), (1, 1), (512, 1), (513, 2), (65_536, 128)])
def test_a_message_counts_as_a_position_for_each_512_bytes(size: int, cost: int) -> None:
    assert cost_of(size) == cost


def test_the_tersest_positions_that_are_read_count_as_one_for_28_of_them() -> None:
    """As docs/operating.md says: it goes by bytes, for to count positions each message would have to be decoded."""
    message = b"[" + b",".join([b'{"lat":1,"lon":1}'] * 500) + b"]"
    found = read(message, Sender("bus-304", None, "car", 1_800_000_000_000, None))
    assert (len(found), {type(each) for each in found}) == (500, {Fix})
    assert (len(message), cost_of(len(message))) == (9001, 18)


PACKED = gzip.compress(b" " * 40_000, mtime=0)


@pytest.mark.parametrize(
    ("payload", "size"),
    [
        (PACKED, 40_000),
        (PACKED + b"\r\n", 40_000),
        (base64.b64encode(PACKED), 40_000),
        (base64.urlsafe_b64encode(PACKED).rstrip(b"="), 40_000),
        (base64.encodebytes(PACKED), 40_000),
        (gzip.compress(b"{}", mtime=0), 2),
        # No more than that is unpacked of anything.
        (gzip.compress(b" " * 10_000_000, mtime=0), 65_536),
        (b"{}", 0),
        (b"e30=", 0),
        (b"H4sIx", 0),
        (b"", 0),
    ],
)
def test_what_is_in_gzip_says_how_much_it_is(payload: bytes, size: int) -> None:
    assert unpacked_size(payload) == size
    assert is_gzip(b"\0\x08car-iotp" + payload, 10) or not size


def test_a_message_in_gzip_counts_as_what_is_in_it() -> None:
    assert len(PACKED) < 512
    assert cost_of(len(PACKED), unpacked_size(PACKED)) == 79


@given(
    st.text(max_size=3000).map(lambda text: b"{" + text.encode()),
    st.sampled_from([bytes, base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes]),
    st.sampled_from([b"", b"\0", b"\n", b" ", b"=", b"\0\0\0\0"]),
    st.sampled_from([b"", b"\n", b" "]),
)
def test_whatever_is_read_as_gzip_is_seen_to_be_so(
    text: bytes, wrap: Callable[[bytes], bytes], after: bytes, before: bytes
) -> None:
    payload = before + wrap(gzip.compress(text, mtime=0)) + after
    try:
        found = text_of(payload)
    except InvalidMessageError:
        return
    assert unpacked_size(payload) >= len(found) > 0
