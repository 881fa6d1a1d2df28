"""From when to when a key of device hashes holds, by the campus's calendar."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from core.errors import BadSettingsError
from core.kinds import DEFAULT_KINDS, Role
from core.windows import Width, window_start
from decoder.settings import DecoderSettings
from runtime.epochs import DeviceKey, Rotation, in_order, key_at, name_of, next_midnight, span_of
from tests.kinds_of_tests import CAR_ROLE

DUBLIN = ZoneInfo("Europe/Dublin")
WEEK = 7 * 86_400_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def span(rotation: Rotation, at: str, zone: ZoneInfo = DUBLIN) -> list[str]:
    return [f"{datetime.fromtimestamp(each / 1000, UTC):%Y-%m-%dT%H:%M}" for each in span_of(rotation, ms(at), zone)]


@pytest.mark.parametrize(
    ("rotation", "at", "expected"),
    [
        (Rotation.DAY, "2026-12-01T00:00:00+00:00", ["2026-12-01T00:00", "2026-12-02T00:00"]),
        (Rotation.WEEK, "2026-12-01T15:00:00+00:00", ["2026-11-30T00:00", "2026-12-07T00:00"]),
        (Rotation.WEEK, "2026-12-06T23:59:59+00:00", ["2026-11-30T00:00", "2026-12-07T00:00"]),
        (Rotation.WEEK, "2026-12-07T00:00:00+00:00", ["2026-12-07T00:00", "2026-12-14T00:00"]),
        (Rotation.MONTH, "2026-12-31T23:00:00+00:00", ["2026-12-01T00:00", "2027-01-01T00:00"]),
        (Rotation.MONTH, "2028-02-29T12:00:00+00:00", ["2028-02-01T00:00", "2028-03-01T00:00"]),
        # Clocks go forward on 29 March, a Sunday, and back on 25 October.
        (Rotation.DAY, "2026-03-29T12:00:00+00:00", ["2026-03-29T00:00", "2026-03-29T23:00"]),
        (Rotation.WEEK, "2026-03-29T12:00:00+00:00", ["2026-03-23T00:00", "2026-03-29T23:00"]),
        (Rotation.WEEK, "2026-10-25T23:30:00+00:00", ["2026-10-18T23:00", "2026-10-26T00:00"]),
    ],
)
def test_a_key_holds_from_a_midnight_of_the_campus_to_another(rotation: Rotation, at: str, expected: list[str]) -> None:
    assert span(rotation, at) == expected


@pytest.mark.parametrize("name", ["Europe/Dublin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"])
@pytest.mark.parametrize("rotation", [Rotation.DAY, Rotation.WEEK, Rotation.MONTH])
def test_no_day_has_two_keys_and_no_moment_has_none(name: str, rotation: Rotation) -> None:
    zone, at, last = ZoneInfo(name), ms("2011-12-01T00:00:00+00:00"), ms("2013-01-01T00:00:00+00:00")
    end = span_of(rotation, at, zone)[0]
    while end < last:
        start, next_end = span_of(rotation, end, zone)
        assert (start, window_start(Width.DAY, start, zone)) == (end, end)
        assert span_of(rotation, next_end - 1, zone) == (start, next_end)
        end = next_end


def test_where_keys_overlap_the_one_that_begins_later_holds() -> None:
    week, day, later = DeviceKey(0, 700, b"w"), DeviceKey(300, 400, b"d"), DeviceKey(700, 1400, b"l")
    keys = in_order([later, week, day])
    assert keys == [DeviceKey(0, 300, b"w"), day, later]
    assert [key_at(keys, at) for at in (0, 299, 300, 400, 700)] == [keys[0], keys[0], day, None, later]


def test_a_key_is_called_by_its_first_day() -> None:
    assert name_of(ms("2026-06-30T23:00:00+00:00"), DUBLIN) == "2026-07-01"
    assert next_midnight(ms("2026-06-30T22:59:00+00:00"), DUBLIN) == ms("2026-06-30T23:00:00+00:00")


@pytest.mark.parametrize(
    ("given", "rotation", "source"),
    [
        ({}, Rotation.NEVER, False),
        ({"privacy": "protected"}, Rotation.WEEK, True),
        ({"privacy": "strict", "device_key_rotation": "day", "device_source": False}, Rotation.DAY, False),
        ({"privacy": "protected", "device_key_rotation": "never"}, Rotation.NEVER, True),
        ({"device_key_rotation": "month", "device_source": True}, Rotation.MONTH, True),
    ],
)
def test_keys_rotate_each_week_unless_privacy_is_open(
    given: dict[str, object], rotation: Rotation, *, source: bool
) -> None:
    who = DecoderSettings.model_validate(given).who_is_who
    assert (who.rotation, who.source) == (rotation, source)


def test_where_keys_rotate_nobody_may_send_what_is_older_than_a_week() -> None:
    """Under `never` gateways may send positions of any time, as before."""
    ages = DecoderSettings.model_validate({"device_key_rotation": "week"}).rules(DEFAULT_KINDS).max_age_ms
    assert {ages[role] for role in DEFAULT_KINDS.roles} == {WEEK}
    assert Role.GATEWAY not in DecoderSettings().rules(DEFAULT_KINDS).max_age_ms
    some = DecoderSettings.model_validate({"device_key_rotation": "day", "position_max_age": "car=2d"})
    assert some.rules(DEFAULT_KINDS).max_age_ms[CAR_ROLE] == 2 * 86_400_000
    assert some.rules(DEFAULT_KINDS).max_age_ms[Role.SERVICE] == WEEK


def test_an_age_that_outlives_the_keys_is_refused_where_they_rotate() -> None:
    settings = DecoderSettings.model_validate({"device_key_rotation": "week", "position_max_age": "gateway=30d"})
    with pytest.raises(BadSettingsError, match=r"^POSITION_MAX_AGE: 'gateway=30d' is more than 7d: .*ROTATION"):
        settings.rules(DEFAULT_KINDS)
