from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from core.messages import Kind, Position
from decoder.spans import WINDOW_LIFE_MS, spans
from tests.conftest import NOON
from tests.decoder.conftest import position
from timeseries import Width, Window, nominal_ms, window_start

DUBLIN = ZoneInfo("Europe/Dublin")
NUMBERS = {"a": 1, "b": 2, "c": 3}
DAY_MS = nominal_ms[Width.DAY]


def spread(positions: list[Position], zone: ZoneInfo) -> dict[str, list[int]]:
    """The devices of each window; fails where a window comes twice."""
    found: dict[str, list[int]] = {}
    for windows, sets in spans(positions, NUMBERS, zone):
        for beginning, _ in windows:
            for end, numbers in sets:
                member = beginning + end
                assert member not in found
                found[member] = sorted(numbers)
    return found


def expected(positions: list[Position], zone: ZoneInfo) -> dict[str, list[int]]:
    windows: dict[str, set[int]] = {}
    for each in positions:
        for width in Width:
            for name in each.zones:
                window = Window(width, window_start(width, each.observed_at, zone), name, each.kind)
                windows.setdefault(window.member, set()).add(NUMBERS[each.device])
    return {member: sorted(numbers) for member, numbers in windows.items()}


@settings(max_examples=60, deadline=None)
@given(
    positions=st.lists(
        st.builds(
            lambda device, at, zones, kind: position(device, at, *sorted(zones), kind=kind),
            device=st.sampled_from(sorted(NUMBERS)),
            at=st.one_of(st.integers(NOON - 10 * 60_000, NOON), st.integers(NOON - 3 * DAY_MS, NOON)),
            zones=st.sets(st.sampled_from(["main", "schuman"])),
            kind=st.sampled_from(Kind),
        ),
        max_size=20,
    ),
    zone=st.sampled_from([DUBLIN, ZoneInfo("Asia/Kolkata"), ZoneInfo("Pacific/Chatham")]),
)
def test_every_window_of_every_position_gets_its_device_once(positions: list[Position], zone: ZoneInfo) -> None:
    assert spread(positions, zone) == expected(positions, zone)


def test_windows_that_cover_the_same_moments_share_their_lists() -> None:
    start = NOON - NOON % nominal_ms[Width.FIVE_MINUTES]
    first, second = spans(
        [position("a", start), position("b", start + 30_000), position("c", start + 60_000)], NUMBERS, DUBLIN
    )[:2]
    assert [sorted(numbers) for _, numbers in first.sets] == [[1, 2]]
    assert [beginning[:2] for beginning, _ in first.windows] == ["1m"]
    assert [sorted(numbers) for _, numbers in second.sets] == [[1, 2, 3]]
    assert [beginning[:2] for beginning, _ in second.windows] == ["5m", "1h", "1d"]


def test_a_set_lives_for_its_width_and_48_hours() -> None:
    lives = {
        beginning[:2]: life
        for span in spans([position("a", NOON)], NUMBERS, DUBLIN)
        for beginning, life in span.windows
    }
    assert lives == {width: nominal_ms[width] + WINDOW_LIFE_MS for width in Width}
    assert WINDOW_LIFE_MS == 48 * 3600 * 1000
