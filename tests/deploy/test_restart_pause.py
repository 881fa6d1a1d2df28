from deploy.laptop.restart_pause import RestartPause


def test_pauses_grow_to_half_a_minute_and_no_further() -> None:
    restart = RestartPause()
    assert [restart.pause(at - 50, at) for at in range(0, 800, 100)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_the_third_end_within_a_minute_is_the_last() -> None:
    restart = RestartPause()
    assert [restart.pause(at, at) for at in (0, 30, 59.9)] == [1, 2, None]


def test_the_third_end_after_a_minute_is_not() -> None:
    restart = RestartPause()
    assert [restart.pause(at, at) for at in (0, 30, 60)] == [1, 2, 4]


def test_who_has_lived_for_five_minutes_begins_with_a_short_pause_again() -> None:
    restart = RestartPause()
    assert [restart.pause(*life) for life in ((0, 10), (11, 21), (23, 323))] == [1, 2, 1]
