import pytest

from core.errors import BadSettingsError
from core.kinds import DEFAULT_KINDS, Role
from runtime.ages import parse_ages, too_old
from runtime.settings import PositionSettings, load
from tests.kinds.tables import THREE_KINDS
from tests.kinds_of_tests import CAR_ROLE, MOBILE_ROLE

WEEK = 604_800_000


def test_by_default_devices_of_each_kind_and_clients_without_a_user_have_a_week() -> None:
    settings = load(PositionSettings)
    assert settings.position_max_age_ms(DEFAULT_KINDS) == {CAR_ROLE: WEEK, MOBILE_ROLE: WEEK, Role.ANONYMOUS: WEEK}
    assert settings.position_max_age_ms(THREE_KINDS)[THREE_KINDS.role("bicycle")] == WEEK


def test_a_role_that_is_not_named_has_no_limit() -> None:
    ages = parse_ages(" mobile=12h, gateway = 90d,", DEFAULT_KINDS)
    assert ages == {MOBILE_ROLE: 43_200_000, Role.GATEWAY: 7_776_000_000}
    assert too_old(0, 43_200_001, MOBILE_ROLE, ages)
    assert not too_old(0, 43_200_000, MOBILE_ROLE, ages)
    assert not too_old(0, 10 * WEEK, CAR_ROLE, ages)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "bicycle=7d",
            "'bicycle=7d' is not role=duration: 'bicycle' is not one of anonymous, car",
        ),
        ("car", "is no duration"),
        ("car=long", "long"),
        ("car=1d,car=2d", "car is there twice"),
    ],
)
def test_what_is_no_age_is_said(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.setenv("POSITION_MAX_AGE", text)
    with pytest.raises(BadSettingsError, match=f"^POSITION_MAX_AGE: .*{said}"):
        load(PositionSettings).position_max_age_ms(DEFAULT_KINDS)
