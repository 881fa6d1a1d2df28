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
        ("2019-02-18T08:58:05.5z", 1_550_480_285_500),
        ("2019-02-18T08:58:05.9999999Z", 1_550_480_285_999),
        pytest.param("2019-02-18T08:58:05." + "9" * 400 + "Z", 1_550_480_285_999, id="a fraction of 400 digits"),
        ("2019-02-18T08:58:05-00:00", 1_550_480_285_000),
        ("2019-02-18T00:58:05-08:00", 1_550_480_285_000),
        ("2019-02-18T14:43:05+05:45", 1_550_480_285_000),
        ("2016-12-31T23:59:60Z", 1_483_228_799_999),
        ("2016-12-31t23:59:60.25z", 1_483_228_799_999),
        ("2017-01-01T05:44:60+05:45", 1_483_228_799_999),
        ("2016-12-31T15:59:60-08:00", 1_483_228_799_999),
        ("1970-01-01T01:00:00+01:00", 0),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
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
        "2019-02-18T08:58:05+24:00",
        "2019-02-18T08:58:05+01:60",
        "2019-02-18T08:58:05+0100",
        "2019-02-18T24:00:00Z",
        "2019-02-18T08:60:00Z",
        "2019-02-18T08:58:61Z",
        "2019-02-18T08:58:60Z",
        "2016-12-31T23:59:60+01:00",
        "2019-02-18T08:58:05.Z",
        "2019-02-18T08:58:05,5Z",
        "20190218-01-01T08:58:05Z",
        "0000-01-01T00:00:00Z",
        "Mon, 18 Feb 2019 08:58:05 GMT",
        "2019-02-18T08:58:05Z\n",
        "\uff12019-02-18T08:58:05Z",
        "9999-12-31T23:59:59-00:01",
        "1970-01-01T00:59:59+01:00",
    ],
)
def test_what_is_not_rfc_3339_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|day|year|before 1970"):
        parse_rfc3339(text)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert EARLIEST_MS <= parse_rfc3339(text) <= LATEST_MS
