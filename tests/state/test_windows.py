from zoneinfo import ZoneInfo

from core.windows import Width, Window
from state.windows import counter, day_shift_ms
from tests.kinds_of_tests import CAR

DUBLIN = ZoneInfo("Europe/Dublin")
KOLKATA = ZoneInfo("Asia/Kolkata")
NEW_YORK = ZoneInfo("America/New_York")
NOON = 1_772_366_400_000


def window(width: Width, start: int) -> Window:
    return Window(width, start, "library", CAR)


def test_days_are_shifted_by_whole_hours() -> None:
    assert [day_shift_ms(zone) for zone in (DUBLIN, KOLKATA, NEW_YORK)] == [0, 5 * 3_600_000, -5 * 3_600_000]


def test_a_minute_is_a_field_of_the_hash_of_six_hours() -> None:
    assert counter(window(Width.MINUTE, NOON + 7 * 60_000), "{0}", 0) == ("count:{0}:m82054:library:car", "7")


def test_the_other_windows_of_a_day_are_fields_of_one_hash() -> None:
    day = "count:{0}:d20513:library:car"
    assert counter(window(Width.FIVE_MINUTES, NOON + 300_000), "{0}", 0) == (day, "f145")
    assert counter(window(Width.HOUR, NOON), "{0}", 0) == (day, "h12")
    assert counter(window(Width.DAY, NOON - 12 * 3_600_000), "{0}", 0) == (day, "d")


def test_a_day_of_summer_which_begins_the_evening_before_by_utc_is_counted_where_its_noon_is() -> None:
    begins = NOON - 13 * 3_600_000
    assert counter(window(Width.DAY, begins), "{0}", 0).key == "count:{0}:d20513:library:car"


def test_a_day_of_a_zone_with_half_hours_is_counted_where_its_noon_is() -> None:
    # 2026-03-01T00:00+05:30
    begins = NOON - 12 * 3_600_000 - 5 * 3_600_000 - 1_800_000
    assert counter(window(Width.DAY, begins), "{0}", 5 * 3_600_000).key == "count:{0}:d20513:library:car"
