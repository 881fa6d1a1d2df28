"""Times that may be told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disclosure.policy import Privacy, PrivacySettings, policy_of
from disclosure.times import slot_start, told_time

MOMENT = 1_796_122_799_999  # 2026-12-01T10:59:59.999Z


@pytest.mark.parametrize(
    ("profile", "slot", "told", "began"),
    [
        ("open", "", 1_796_122_799_999, 1_796_122_770_000),
        ("protected", "", 1_796_122_740_000, 1_796_122_770_000),
        ("protected", "2m", 1_796_122_680_000, 1_796_122_680_000),
        ("strict", "", 1_796_122_500_000, 1_796_122_500_000),
        ("strict", "10s", 1_796_122_740_000, 1_796_122_790_000),
    ],
)
def test_a_time_is_that_of_its_minute_or_of_its_slot(profile: str, slot: str, told: int, began: int) -> None:
    policy = policy_of(PrivacySettings(privacy=Privacy(profile), privacy_slot=slot))

    assert told_time(MOMENT, policy) == told
    assert slot_start(MOMENT, policy) == began


@given(st.integers(0, 10**14), st.sampled_from(["protected", "strict"]))
def test_two_moments_of_a_slot_are_told_alike(ms: int, profile: str) -> None:
    policy = policy_of(PrivacySettings(privacy=Privacy(profile)))

    assert told_time(ms, policy) == told_time(slot_start(ms, policy), policy)
