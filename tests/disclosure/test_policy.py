"""The profiles, and what is set beside them."""

import pytest
from pydantic import ValidationError

from disclosure.policy import Policy, Privacy, PrivacySettings, policy_of


@pytest.mark.parametrize(
    ("profile", "least", "slot_ms", "width", "campus_width", "time_ms"),
    [
        ("open", 0, 30_000, 130, 390, 1),
        ("protected", 5, 30_000, 130, 390, 60_000),
        ("strict", 10, 300_000, 240, 720, 300_000),
    ],
)
def test_a_profile_says_all_where_nothing_else_is_set(
    profile: str, least: int, slot_ms: int, width: int, campus_width: int, time_ms: int
) -> None:
    assert policy_of(PrivacySettings(privacy=Privacy(profile))) == Policy(
        Privacy(profile), least, slot_ms, width, campus_width, time_ms=time_ms
    )


def test_open_is_what_holds_where_nothing_is_set() -> None:
    assert policy_of(PrivacySettings()).profile is Privacy.OPEN


def test_each_setting_goes_before_its_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PRIVACY": "strict",
        "PRIVACY_MIN_COUNT": "0",
        "PRIVACY_WIDTH": "60",
        "PRIVACY_CAMPUS_WIDTH": "90",
        "PRIVACY_SLOT": "2m",
    }.items():
        monkeypatch.setenv(name, value)

    assert policy_of(PrivacySettings()) == Policy(Privacy.STRICT, 0, 120_000, 60, 90, time_ms=120_000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PRIVACY", "closed"),
        ("PRIVACY_WIDTH", "29"),
        ("PRIVACY_WIDTH", "1001"),
        ("PRIVACY_CAMPUS_WIDTH", "0"),
        ("PRIVACY_MIN_COUNT", "-1"),
        ("PRIVACY_SLOT", "9s"),
        ("PRIVACY_SLOT", "2h"),
        ("PRIVACY_SLOT", "soon"),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=name.lower()):
        PrivacySettings()


def test_an_arrival_tells_one_in_the_thresholds_that_are_left_of_each_count_that_it_touches() -> None:
    protected = policy_of(PrivacySettings(privacy=Privacy.PROTECTED))
    strict = policy_of(PrivacySettings(privacy=Privacy.STRICT))

    # 1/110 + 1/370; 2/110 + 1/370; 1/130 + 1/390; 1/220 + 1/700.
    assert protected.most_of_an_arrival() == pytest.approx(0.01179, abs=1e-5)
    assert protected.most_of_an_arrival(zones=2) == pytest.approx(0.02088, abs=1e-5)
    assert protected.most_of_an_arrival(tried=0) == pytest.approx(0.01026, abs=1e-5)
    assert strict.most_of_an_arrival() == pytest.approx(0.00597, abs=1e-5)
    # Where no threshold is left, everything may be told.
    assert protected.most_of_an_arrival(tried=500) == 2
