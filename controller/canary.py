"""What comes next for a canary: it is held, goes on, goes back, or has reached all. Pure; `canary_loop` does it."""

from dataclasses import dataclass

from controller.statistics import fisher, slower, welch
from state.apps import ANSWER_EDGES, Canary, Counters, Measure


@dataclass(frozen=True, slots=True)
class Limits:
    """When a difference is believed, and how long answers are waited for."""

    alpha: float
    """A difference counts where chance makes it less often than this."""
    least_errors: int
    stalled_seconds: float


@dataclass(frozen=True, slots=True)
class Compared:
    """What the new version and the others have done since the step began."""

    new: Counters
    others: Counters
    new_measured: Measure
    others_measured: Measure


@dataclass(frozen=True, slots=True)
class Hold:
    """The step goes on; `why` says what it waits for."""

    why: str


@dataclass(frozen=True, slots=True)
class Next:
    """The next step begins."""

    why: str


@dataclass(frozen=True, slots=True)
class Back:
    """Nobody gets the new version any more."""

    why: str


@dataclass(frozen=True, slots=True)
class Done:
    """All keep the new version."""

    why: str


Verdict = Hold | Next | Back | Done


def decide(canary: Canary, seen: Compared, *, healthy: bool, now: int, limits: Limits) -> Verdict:
    """What comes next. `healthy`: whether an instance of the new version is. `now` is in ms since the epoch."""
    if not healthy:
        return Back(f"no instance of version {canary.version} is healthy")
    if (worse := _worse(canary, seen, limits)) is not None:
        return Back(worse)
    share, seconds = canary.steps[canary.step], (now - canary.step_at) / 1000
    enough = seen.new.answers >= canary.hold_requests and (seen.others.answers > 0 or not canary.hold_requests)
    if not enough and seconds >= max(limits.stalled_seconds, canary.hold_seconds):
        return Back(
            f"too little to compare: in {seconds:.0f} s at {share} %, version {canary.version} gave "
            f"{seen.new.answers} answers of {canary.hold_requests} that are asked for, the others {seen.others.answers}"
        )
    if not enough or seconds < canary.hold_seconds:
        return Hold(
            f"at {share} %: {seconds:.0f} of {canary.hold_seconds} s, "
            f"{seen.new.answers} of {canary.hold_requests} answers"
        )
    well = (
        f"version {canary.version} did no worse in {seconds:.0f} s at {share} %: "
        f"{_errors(seen.new)}, of the others {_errors(seen.others)}"
    )
    return Done(well) if canary.step == len(canary.steps) - 1 else Next(well)


def _worse(canary: Canary, seen: Compared, limits: Limits) -> str | None:
    """Why the new version is worse, in a sentence; None where it is not, or that may be chance."""
    new, others = seen.new, seen.others
    if new.errors >= limits.least_errors:
        p = fisher(new.errors, new.answers, others.errors, others.answers)
        if p < limits.alpha:
            return (
                f"version {canary.version} fails more often: {_errors(new)}, of the others {_errors(others)} "
                f"({_chance('exact test of Fisher', p)})"
            )
    slow = slower(new.by_time, others.by_time)
    if slow.p < limits.alpha and (slow.share - slow.share_old) * 100 >= canary.slower_by:
        return (
            f"version {canary.version} is slower: {slow.share:.1%} of its answers took more than "
            f"{ANSWER_EDGES[slow.edge]} ms, of the others {slow.share_old:.1%} "
            f"({_chance('exact test of Fisher', slow.p)})"
        )
    measured, measured_others = seen.new_measured, seen.others_measured
    if canary.measure and (p := welch(measured, measured_others)) < limits.alpha:
        return (
            f"{canary.measure} of version {canary.version} is higher: {measured.sum / measured.count:.4g} on average, "
            f"of the others {measured_others.sum / measured_others.count:.4g} ({_chance('t-test of Welch', p)})"
        )
    return None


def _chance(test: str, p: float) -> str:
    return f"{test}: chance does so with p = {p:.1g}"


def _errors(counters: Counters) -> str:
    return f"{counters.errors} of {counters.answers} answers are errors"
