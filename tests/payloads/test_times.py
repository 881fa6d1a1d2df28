from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.clock import format_rfc3339
from payloads.times import instant_of, unit_of

MORNING = 1_550_480_285_000
"""2019-02-18T08:58:05Z."""


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        ("2019-02-18T08:58:05Z", MORNING),
        (" 2019-02-18t09:58:05.250+01:00 ", MORNING + 250),
        ("2019-02-18 08:58:05z", MORNING),
        ("2019-02-18T01:58:05-0700", MORNING),
        ("2019-02-18T08:58:05.123+0000", MORNING + 123),
        ("2016-12-31T23:59:60Z", 1_483_228_799_999),
        (1_550_480_285, MORNING),
        (1_550_480_285.25, MORNING + 250),
        (1_550_480_285_000, MORNING),
        (1_550_480_285_000.5, MORNING),
        (1_550_480_285_000_999, MORNING),
        (1_550_480_285_000_999_999, MORNING),
        (1.550480285e18, MORNING),
        ("1550480285", MORNING),
        ("1550480285.25", MORNING + 250),
        ("1550480285000", MORNING),
        (" 1550480285000999 ", MORNING),
        ("1550480285000999999", MORNING),
        (0, 0),
        (99_999_999_999, 99_999_999_999_000),
        (100_000_000_000, 100_000_000_000),
    ],
)
def test_texts_and_numbers_of_any_usual_unit_are_instants(value: object, milliseconds: int) -> None:
    assert instant_of(value) == milliseconds


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("2019-02-18T08:58:05", "no offset from UTC"),
        ("2019-02-18 08:58", "no offset from UTC"),
        ("Mon, 18 Feb 2019 08:58:05 GMT", "not an RFC 3339 time"),
        ("2019-02-18T24:00:00Z", "not an RFC 3339 time"),
        ("20190218-01-01T00:00:00Z", "not an RFC 3339 time"),
        ("2019-02-30T08:58:05Z", "day"),
        ("1969-12-31T23:59:59Z", "before 1970"),
        ("", "not an RFC 3339 time"),
        ("-5", "not an RFC 3339 time"),
        (-1, "below zero"),
        (-0.5, "below zero"),
        (10**20, "too large"),
        (10**400, "too large"),
        ("9" * 21, "not an RFC 3339 time"),
        (None, "neither a text nor a number"),
        (True, "neither a text nor a number"),
        ([], "neither a text nor a number"),
        ({}, "neither a text nor a number"),
    ],
)
def test_what_is_no_instant_is_told_what_to_send(value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        instant_of(value)


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (1_550_480_285, "seconds"),
        ("1550480285", "seconds"),
        (1_550_480_285_000, "milliseconds"),
        (1_550_480_285_000_000, "microseconds"),
        ("1550480285000000000", "nanoseconds"),
        (10**20, None),
        (-1, None),
        (True, None),
        ("2019-02-18T08:58:05Z", None),
        (None, None),
    ],
)
def test_the_unit_that_was_taken_can_be_told(value: object, unit: str | None) -> None:
    assert unit_of(value) == unit


@given(st.integers(100_000_000, 99_999_999_999), st.sampled_from([1, 1000, 1_000_000, 1_000_000_000]), st.booleans())
@example(1_550_480_285, 1, True)  # noqa: FBT003
def test_one_second_is_the_same_in_each_unit(seconds: int, in_a_second: int, as_text: bool) -> None:  # noqa: FBT001
    number = seconds * in_a_second
    assert instant_of(str(number) if as_text else number) == seconds * 1000


@given(st.integers(100_000_000_000, 4_102_444_800_000))
def test_seconds_with_a_fraction_lose_nothing_above_a_millisecond(milliseconds: int) -> None:
    assert instant_of(milliseconds / 1000) == milliseconds
    assert instant_of(f"{milliseconds // 1000}.{milliseconds % 1000:03d}") == milliseconds


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_text_is_the_instant_that_it_names(moment: datetime) -> None:
    milliseconds = int(moment.timestamp()) * 1000 + moment.microsecond // 1000
    assert instant_of(moment.isoformat()) == milliseconds
    assert instant_of(format_rfc3339(milliseconds)) == milliseconds


@given(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40) | st.lists(st.none())
)
def test_anything_is_an_instant_between_1970_and_9999_or_a_value_error(value: object) -> None:
    with suppress(ValueError):
        assert 0 <= instant_of(value) <= 253_402_300_799_999
