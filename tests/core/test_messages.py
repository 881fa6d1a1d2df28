from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Reason
from core.kinds import DEFAULT_KINDS, KindId
from core.messages import DeadLetter, Position, RawMessage, decode_positions, encode_positions
from state.slots import partition_of
from tests.kinds_of_tests import CAR, MOBILE

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
raw_messages = st.builds(
    RawMessage,
    topic=text,
    user=text,
    role=st.sampled_from([role.name for role in DEFAULT_KINDS.roles]),
    received_at=st.integers(0, 2**53),
    payload=st.binary(max_size=100),
    refused=st.none() | st.sampled_from(Reason),
)
dead_letters = st.builds(
    DeadLetter,
    reason=st.sampled_from(Reason),
    detail=text,
    topic=text,
    received_at=st.integers(0, 2**53),
    payload=st.binary(max_size=100),
    user=text,
    role=st.sampled_from([role.name for role in DEFAULT_KINDS.roles]),
)
degrees = st.floats(-180, 180)
positions = st.builds(
    Position,
    kind=st.sampled_from(DEFAULT_KINDS.ids),
    device=text,
    observed_at=st.integers(0, 2**53),
    received_at=st.integers(0, 2**53),
    longitude=degrees,
    latitude=degrees,
    zones=st.lists(text, max_size=3).map(tuple),
    cell=text,
    altitude=st.none() | degrees,
    accuracy=st.none() | degrees,
    speed=st.none() | degrees,
    heading=st.none() | degrees,
    fence=text,
    implausible=st.booleans(),
)


def as_redis_answers(fields: dict[bytes | str, bytes | str | int]) -> dict[bytes, bytes]:
    def encoded(value: bytes | str | int) -> bytes:
        return value if isinstance(value, bytes) else str(value).encode()

    return {encoded(name): encoded(value) for name, value in fields.items()}


@given(raw_messages)
def test_a_raw_message_survives_the_stream(message: RawMessage) -> None:
    assert RawMessage.decode(as_redis_answers(message.encode())) == message


@given(dead_letters)
def test_a_dead_letter_survives_the_stream(letter: DeadLetter) -> None:
    assert DeadLetter.decode(as_redis_answers(letter.encode())) == letter
    kept_nothing = replace(letter, payload=None, user="", role="anonymous")
    assert DeadLetter.decode(as_redis_answers(kept_nothing.encode())) == kept_nothing


@given(st.lists(positions, max_size=5))
def test_positions_survive_the_stream(several: list[Position]) -> None:
    assert decode_positions({b"d": encode_positions(several)}) == several


def test_an_entry_that_is_not_ours_is_refused() -> None:
    with pytest.raises((KeyError, ValueError)):
        RawMessage.decode({b"t": b"car-iotp"})
    with pytest.raises(msgspec.DecodeError):
        decode_positions({b"d": b"\xc1"})


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("car-iotp", CAR),
        ("car-iotp/bus/304", CAR),
        ("mobile-iotp", MOBILE),
        ("car-iotps", None),
        ("a/car-iotp", None),
        ("", None),
    ],
)
def test_the_topic_says_what_kind_of_device_it_is(topic: str, kind: KindId | None) -> None:
    assert DEFAULT_KINDS.ingest_kind(topic) == kind


@given(text, st.integers(1, 256))
def test_a_name_is_always_in_the_same_one_of_the_partitions(name: str, partitions: int) -> None:
    assert 0 <= partition_of(name, partitions) < partitions
    assert partition_of(name, partitions) == partition_of(name, partitions)
