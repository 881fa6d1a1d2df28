"""Noise of a cell."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disclosure.cells import day_noise

KEY = b"k" * 32
DAY = 1_796_083_200_000


def test_a_cell_has_one_number_for_ever() -> None:
    assert day_noise(KEY, zone="library", kind="mobile", start=DAY, width=50) == -11


@pytest.mark.parametrize("other", [{"zone": "canteen"}, {"kind": "car"}, {"start": DAY + 86_400_000}])
def test_another_cell_has_a_number_of_its_own(other: dict[str, object]) -> None:
    cell: dict[str, object] = {"zone": "library", "kind": "mobile", "start": DAY}
    # Of a width at which chance alone would not make two the same.
    assert noise(KEY, **cell | other) != noise(KEY, **cell)
    assert noise(b"x" * 32, **cell) != noise(KEY, **cell)


def noise(key: bytes, **cell: object) -> int:
    return day_noise(key, zone=str(cell["zone"]), kind=str(cell["kind"]), start=int(str(cell["start"])), width=10**12)


def test_parts_of_a_cell_are_not_run_together() -> None:
    assert day_noise(KEY, zone="ab", kind="c", start=1, width=10**12) != day_noise(
        KEY, zone="a", kind="bc", start=1, width=10**12
    )


@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, 10**14), st.integers(0, 1000))
def test_it_is_within_the_width(zone: str, kind: str, start: int, width: int) -> None:
    assert -width <= day_noise(KEY, zone=zone, kind=kind, start=start, width=width) <= width


def test_all_numbers_are_as_likely() -> None:
    found = Counter(day_noise(KEY, zone="library", kind="mobile", start=day, width=2) for day in range(5000))

    assert set(found) == {-2, -1, 0, 1, 2}
    # Each 1000 times, give or take five standard deviations; the key is the same at every run.
    assert all(860 < count < 1140 for count in found.values())
