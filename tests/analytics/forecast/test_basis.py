from analytics.forecast.jobs import PAST_MS
from api.analytics import forecast


def test_the_recorded_minutes_of_an_answer_are_those_of_the_past_that_was_learned_from() -> None:
    assert forecast._TRAINED_MS == PAST_MS == 14 * 7 * 24 * 3_600_000
