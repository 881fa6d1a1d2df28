import pytest

from core.errors import BadSettingsError
from core.kinds import DEFAULT_KINDS, Role
from runtime.position_rates import Rate, RateSettings, cost_of, parse_rates
from runtime.settings import load
from tests.kinds_of_tests import CAR_ROLE, MOBILE_ROLE


def test_by_default_devices_have_a_rate_and_gateways_services_and_anonymous_clients_have_none() -> None:
    assert parse_rates(load(RateSettings).position_rate, DEFAULT_KINDS) == {
        CAR_ROLE: Rate(100, 1000),
        MOBILE_ROLE: Rate(100, 1000),
    }


def test_a_rate_has_a_burst_or_is_one() -> None:
    assert parse_rates(" car=0.5:20, gateway=2000 ,", DEFAULT_KINDS) == {
        CAR_ROLE: Rate(0.5, 20),
        Role.GATEWAY: Rate(2000, 2000),
    }
    assert parse_rates(",", DEFAULT_KINDS) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("car", "role=rate:burst"),
        ("bus=1", "anonymous, car, mobile, gateway, service"),
        ("car=fast", "role=rate:burst"),
        ("car=0", "above 0"),
        ("car=nan", "above 0"),
        ("car=inf", "above 0"),
        ("car=1:0", "above 0"),
        ("car=1,car=2", "twice"),
    ],
)
def test_what_is_no_rate_is_said(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.setenv("POSITION_RATE", text)
    with pytest.raises(BadSettingsError, match=f"POSITION_RATE: .*{said}"):
        load(RateSettings).position_rates(DEFAULT_KINDS)


@pytest.mark.parametrize(("size", "cost"), [(0, 1), (1, 1), (512, 1), (513, 2), (65_536, 128)])
def test_a_message_counts_as_a_position_for_each_512_bytes(size: int, cost: int) -> None:
    assert cost_of(size) == cost
