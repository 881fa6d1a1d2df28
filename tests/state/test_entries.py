"""An entry of `raw`: what brokers write is what decoders read; all else is no entry."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Reason
from core.kinds import DEFAULT_KINDS
from core.messages import RawMessage
from state.entries import Group, counted, decode_entry, encode_entries, encode_entry, group_of
from tests.conftest import NOON

messages = st.builds(
    RawMessage,
    topic=st.text(max_size=20),
    user=st.text(max_size=20),
    role=st.sampled_from([role.name for role in DEFAULT_KINDS.roles]),
    received_at=st.integers(0, 253_402_300_799_999),
    payload=st.binary(max_size=40),
    refused=st.sampled_from([None, Reason.TOO_LARGE]),
)
groups = st.builds(
    Group,
    topic=st.sampled_from(["car-iotp", "mobile-iotp/a"]),
    user=st.text(max_size=5),
    role=st.sampled_from([role.name for role in DEFAULT_KINDS.roles]),
    received_at=st.integers(0, NOON),
    refused=st.sampled_from(["", "too_large"]),
    payloads=st.lists(st.sampled_from([b"", b"x", b"y" * 3000, b"z" * 65_536]), min_size=1, max_size=8).map(
        lambda some: some * 70
    ),
)


def fields_of(entry: tuple[int, bytes]) -> dict[bytes, bytes]:
    """As Redis answers them."""
    count, batch = entry
    return {b"n": str(count).encode(), b"b": batch}


@given(st.lists(messages, min_size=1, max_size=30))
def test_what_is_written_is_what_is_read(sent: list[RawMessage]) -> None:
    entries = encode_entries(map(group_of, sent))
    assert [message for entry in entries for message in decode_entry(fields_of(entry))] == sent
    assert sum(counted(fields_of(entry)) for entry in entries) == len(sent)


@given(st.lists(groups, max_size=3))
def test_entries_are_bounded_and_hold_everything_in_order(sent: list[Group]) -> None:
    entries = encode_entries(sent)
    read = [decode_entry(fields_of(entry)) for entry in entries]
    assert [message.payload for each in read for message in each] == [one for group in sent for one in group.payloads]
    for each in read:
        assert 1 <= len(each) <= 500
        assert sum(len(message.payload) for message in each) <= 512 * 1024


def test_an_entry_of_the_version_before_is_one_message() -> None:
    message = RawMessage("car-iotp", "car-7", "car", NOON, b"payload")
    fields: dict[bytes, bytes] = {b"t": b"car-iotp", b"u": b"car-7", b"r": b"car", b"a": b"%d" % NOON, b"p": b"payload"}
    assert decode_entry(fields) == [message]
    assert counted(fields) == 0


@given(st.dictionaries(st.sampled_from([b"b", b"n", b"t", b"u", b"r", b"a", b"p", b"x"]), st.binary(max_size=60)))
def test_anything_else_is_a_value_error_or_a_list_of_messages(fields: dict[bytes, bytes]) -> None:
    assert counted(fields) in range(501)
    try:
        found = decode_entry(fields)
    except ValueError:
        return
    assert found


values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=9), st.binary(max_size=9), st.floats()),
    lambda inner: st.one_of(st.lists(inner, max_size=7), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=30,
)


@given(st.one_of(values, st.tuples(st.just(1), st.lists(st.lists(values, min_size=6, max_size=6), max_size=3))))
def test_whatever_messagepack_says_is_a_value_error_or_a_list_of_messages(value: Any) -> None:  # noqa: ANN401
    try:
        found = decode_entry({b"n": b"1", b"b": msgspec.msgpack.encode(value)})
    except ValueError:
        return
    assert len(found) == 1


GROUP = ["car-iotp", "", "car", NOON, "", [b"x"]]


@pytest.mark.parametrize(
    ("count", "value"),
    [
        (b"2", [1, [GROUP]]),
        (b"0", [1, []]),
        (b"1", [2, [GROUP]]),
        (b"1", [1, [[*GROUP[:2], 7, *GROUP[3:]]]]),
        (b"1", [1, [[*GROUP[:3], -1, *GROUP[4:]]]]),
        (b"1", [1, [[*GROUP[:3], 253_402_300_800_000, *GROUP[4:]]]]),
        (b"1", [1, [[*GROUP[:4], "why", GROUP[5]]]]),
        (b"1", [1, [[*GROUP[:5], ["x"]]]]),
        (b"501", [1, [[*GROUP[:5], [b"x"] * 501]]]),
    ],
)
def test_what_no_broker_writes_is_refused(count: bytes, value: object) -> None:
    with pytest.raises(ValueError, match="an entry of raw"):
        decode_entry({b"n": count, b"b": msgspec.msgpack.encode(value)})


def test_a_user_name_that_is_no_utf_8_is_refused() -> None:
    entry = encode_entry([Group("car-iotp", "abc", "car", NOON, "", [b"x"])])
    with pytest.raises(ValueError, match="an entry of raw"):
        decode_entry({b"n": b"1", b"b": entry.batch.replace(b"abc", b"\xff\xfe\xfd")})
