from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.clock import format_rfc3339, parse_rfc3339

EARLIEST_MS = 0
LATEST_MS = 253_402_300_799_999


@given(st.integers(EARLIEST_MS, LATEST_MS))
@example(EARLIEST_MS)
@example(LATEST_MS)
def test_a_time_that_is_written_is_read_as_itself(milliseconds: int) -> None:
    assert parse_rfc3339(format_rfc3339(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2019-02-18T08:58:05Z", 1_550_480_285_000),
        ("2019-02-18t08:58:05z", 1_550_480_285_000),
        ("2019-02-18 08:58:05Z", 1_550_480_285_000),
        ("2019-02-18T09:58:05+01:00", 1_550_480_285_000),
        ("2019-02-18T08:58:05.25Z", 1_550_480_285_250),
        ("2019-02-18T08:58:05.123456789Z", 1_550_480_285_123),
    ],
)
def test_the_forms_of_rfc_3339_are_understood(text: str, milliseconds: int) -> None:
    assert parse_rfc3339(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2019-02-18",
        "2019-02-18T08:58:05",
        "20190218T085805Z",
        "2019-W08-1T08:58:05Z",
        "2019-02-30T08:58:05Z",
        "1969-12-31T23:59:59Z",
        "2019-02-18T25:58:05Z",
        "2019-02-18T08:58:05+99:00",
    ],
)
def test_what_is_not_rfc_3339_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|day|hour|offset|before 1970"):
        parse_rfc3339(text)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert EARLIEST_MS <= parse_rfc3339(text) <= LATEST_MS
