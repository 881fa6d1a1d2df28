"""What hypothesis finds for the targets: any bytes, and well-formed ones with a few mistakes."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import ONE_AT_A_TIME, SEEDS, mutated
from tests.fuzz.targets import TARGETS

cuts = st.integers(0, 255).map(lambda number: bytes((number,)))
names = pytest.mark.parametrize("name", TARGETS)


@names
@given(cut=cuts, data=st.binary(max_size=10_000))
@settings(deadline=None, max_examples=100)
def test_no_bytes_at_all_do_harm(name: str, cut: bytes, data: bytes) -> None:
    TARGETS[name](cut + data)


@names
@given(
    cut=cuts, order=st.lists(st.integers(0, 1000), min_size=1, max_size=20), random=st.randoms(use_true_random=False)
)
@settings(deadline=None, max_examples=200)
def test_no_mistake_in_what_is_well_formed_does_harm(name: str, cut: bytes, order: list[int], random: Random) -> None:
    seeds = SEEDS[name]()
    chosen = [seeds[index % len(seeds)] for index in (order[:1] if name in ONE_AT_A_TIME else order)]
    TARGETS[name](cut + mutated(b"".join(chosen), random))


@names
def test_what_fuzzing_starts_from_does_none(name: str) -> None:
    for cut in range(1 if name in ONE_AT_A_TIME else 8):
        for seed in SEEDS[name]():
            TARGETS[name](bytes((cut,)) + seed)
