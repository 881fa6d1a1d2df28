from prometheus_client import CollectorRegistry

from core.errors import BadSettingsError
from runtime.failures import Failures


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def made(*, minor: frozenset[str] = frozenset()) -> tuple[Failures, Clock, CollectorRegistry]:
    clock, registry = Clock(), CollectorRegistry()
    return Failures("decoder", registry, minor=minor, monotonic=clock), clock, registry


def test_the_pause_grows_to_a_minute_and_no_further() -> None:
    failures, clock, _ = made()
    pauses = []
    for _ in range(8):
        failures.begins("rollup")
        pauses.append(failures.ends("rollup", ValueError("broken")))
        clock.seconds += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_stage_that_has_worked_for_a_while_begins_with_a_short_pause_again() -> None:
    failures, clock, _ = made()
    failures.ends("rollup", ValueError("broken"))
    failures.ends("rollup", ValueError("broken"))
    failures.begins("rollup")
    clock.seconds += 11
    assert failures.ends("rollup", ValueError("broken")) == 1


def test_a_stage_is_well_again_once_it_has_worked_for_as_long_as_its_pause() -> None:
    failures, clock, _ = made()
    for _ in range(6):
        failures.ends("rollup", ValueError("broken"))
    failures.begins("rollup")
    clock.seconds += 31
    assert failures.problem == "stage rollup fails, and is started again: ValueError (the log has its words)"
    clock.seconds += 2
    assert failures.problem is None


def test_each_stage_is_named_with_the_kind_of_its_error_and_never_with_words_from_outside() -> None:
    failures, _, _ = made()
    failures.ends("archive-0", KeyError("x"))
    failures.ends("rollup", ValueError("device-7 at 52.67"))
    assert failures.problem == (
        "stage archive-0 fails, and is started again: KeyError (the log has its words); "
        "stage rollup fails, and is started again: ValueError (the log has its words)"
    )


def test_a_setting_that_turns_out_wrong_later_is_told_in_its_own_words() -> None:
    failures, _, _ = made()
    failures.ends("archive-0", BadSettingsError("CLOUDANT_APIKEY: 401"))
    assert failures.problem == "stage archive-0 fails, and is started again: CLOUDANT_APIKEY: 401"


def test_a_process_is_starting_for_a_minute() -> None:
    failures, clock, _ = made()
    assert failures.starting
    clock.seconds = 60
    assert not failures.starting


def test_a_minor_stage_is_a_remark_and_no_problem() -> None:
    failures, _, _ = made(minor=frozenset({"sys"}))
    failures.ends("sys", ValueError("broken"))
    assert failures.problem is None
    assert failures.remark == "stage sys fails, and is started again: ValueError (the log has its words)"


def test_failures_are_counted_by_stage_and_a_stage_is_there_before_its_first() -> None:
    failures, _, registry = made()
    failures.begins("rollup")
    assert registry.get_sample_value("decoder_stage_failures_total", {"stage": "rollup"}) == 0
    failures.ends("rollup", ValueError("broken"))
    assert registry.get_sample_value("decoder_stage_failures_total", {"stage": "rollup"}) == 1


def test_of_errors_that_came_together_the_first_is_named() -> None:
    failures, _, _ = made()
    failures.ends("rollup", ExceptionGroup("unhandled errors", [ExceptionGroup("more", [KeyError("x")]), OSError()]))
    assert failures.problem == "stage rollup fails, and is started again: KeyError (the log has its words)"
