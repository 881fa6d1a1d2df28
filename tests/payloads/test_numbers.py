from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payloads.numbers import heading, measure


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (12, 12),
        (12.5, 12.5),
        ("12.5", 12.5),
        (" 12.5 ", 12.5),
        ("1.2e1", 12),
        (".5", 0.5),
        ("5.", 5),
        ("-0", 0),
        (0, 0),
        (-0.0, 0),
        (100, 100),
        (100.1, None),
        (-1, None),
        ("-1", None),
        (1e308, None),
        (10**400, None),
        ("1e308", None),
        (None, None),
        ("", None),
        ("  ", None),
    ],
)
def test_a_number_or_a_text_of_one_is_a_measure_within_its_range(value: object, number: float | None) -> None:
    measured = measure(value, 0, 100)
    assert measured == number
    assert measured is None or isinstance(measured, float)


@pytest.mark.parametrize(
    "value", ["fast", "12 m", "12,5", "nan", "inf", "1_000", "١٢", "0x10", True, False, [], {}, [1]]
)
def test_what_is_no_number_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match="not a number"):
        measure(value, 0, 100)


@pytest.mark.parametrize(
    ("value", "degrees"), [(0, 0), (360, 360), (359.9, 359.9), (725, None), (-90, None), ("12.5", 12.5), (None, None)]
)
def test_a_heading_is_from_0_to_360_degrees(value: object, degrees: float | None) -> None:
    assert heading(value) == degrees


@given(st.integers() | st.floats() | st.text(max_size=20) | st.floats().map(str))
def test_whatever_comes_out_is_within_the_range(value: object) -> None:
    with suppress(ValueError):
        number = measure(value, -5, 5)
        assert number is None or -5 <= number <= 5
