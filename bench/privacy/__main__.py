"""What one arrival tells, method by method, and how wrong counts are for that.

python -m bench.privacy                    some minutes, on one core
python -m bench.privacy --arrivals 2000    fewer trials, larger standard errors

The attacker knows everybody else and has 20 devices of their own; half of the trials choose what is looked at, the
other half says what that is worth. Needs no server. The walk is the code of `disclosure`; days are made up.
"""

from typing import Annotated

import numpy as np
import typer

from bench.privacy.attack import Found, Scores, attack
from bench.privacy.crowd import BUSY, SLOTS_AN_HOUR, Counts, lecture, made_days, ordinary, quiet
from bench.privacy.methods import Method, methods, walk_of
from bench.quick import Quick, ResultsFile, keep, place
from disclosure.policy import Privacy, PrivacySettings, policy_of

PEAKS = (10, 40, 150, 600)
"""Of made-up days: how many are there when most are."""
ARRIVALS = 4000
Row = dict[str, object]


def main(
    *,
    arrivals: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="Trials with an arrival, and without.")
    ] = ARRIVALS,
    days: Annotated[int, typer.Option(min=1, max=1000, help="Days for each error.")] = 40,
    seed: Annotated[int, typer.Option(help="The same one gives the same figures.")] = 1,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Tell the advantage of each method's best attack, and its error."""
    arrivals, days = (300, 2) if quick else (arrivals, days)
    rng = np.random.default_rng(seed)
    true = {peak: made_days(peak, days, rng) for peak in PEAKS}
    places = {
        "quiet": quiet(arrivals),
        "lecture": lecture(arrivals),
        **{f"peak {peak}": ordinary(peak, arrivals, rng) for peak in (40, 150, 600)},
    }
    typer.echo(f"advantage in per cent, standard error; present 08:00 to 18:00: {_present(true)}")
    found: dict[str, Row] = {}
    for method in methods(quick=quick):
        attacks = {name: attack(method, scenes, rng) for name, scenes in places.items()}
        errors = {str(peak): _error(method, counts, rng) for peak, counts in true.items()}
        _tell(method.name, attacks, errors)
        found[method.name] = {"attacks": {name: _row(each) for name, each in attacks.items()}, "errors": errors}
    profiles = {profile.value: _profile(profile, true, rng) for profile in (Privacy.PROTECTED, Privacy.STRICT)}
    keep({"arrivals": arrivals, "seed": seed, **found, **profiles}, place("privacy", quick=quick, results=results))


def _present(true: dict[int, Counts]) -> str:
    return ", ".join(f"{counts[:, BUSY].mean():.0f} at a peak of {peak}" for peak, counts in true.items())


def _tell(name: str, attacks: dict[str, Found], errors: dict[str, float]) -> None:
    typer.echo(f"\n{name}: error {', '.join(f'{error:.1f} at {peak}' for peak, error in errors.items())}")
    for place_name, each in attacks.items():
        most = "" if each.most is None else f"; the best there is {each.most:6.2%} ± {each.most_error:.2%}"
        typer.echo(f"  {place_name:9} {each.advantage:7.2%} ± {each.error:.2%}{most}  ({each.by})")


def _row(found: Found) -> Row:
    return {
        "advantage": found.advantage,
        "error": found.error,
        "by": found.by,
        "most": found.most,
        "most_error": found.most_error,
    }


def _error(method: Method, counts: Counts, rng: np.random.Generator) -> float:
    """Of what is told from 08:00 to 18:00: the mean of how far it is from the truth, in devices."""
    return float(np.abs(method.zone(counts, rng) - counts)[:, BUSY].mean())


def _profile(profile: Privacy, true: dict[int, Counts], rng: np.random.Generator) -> Row:
    """What a profile guarantees, and what its counts of zones are worth beside that."""
    policy = policy_of(PrivacySettings(privacy=profile))
    method = walk_of(policy.width, policy.campus_width)
    most = policy.most_of_an_arrival()
    typer.echo(
        f"\n{profile}: {most:.2%} for one arrival, where 20 thresholds are known not to be it; steps of {policy.width}"
    )
    rows: Row = {"most": most}
    for peak, counts in true.items():
        told, now = method.zone(counts, rng)[:, BUSY], counts[:, BUSY]
        off = np.abs(told - now)
        hours = np.abs(_hours(told) - _hours(now))
        weeks = np.abs(_hours(told).mean(axis=0) - _hours(now).mean(axis=0))
        row = {
            "present": float(now.mean()),
            "now": float(off.mean()),
            "19 of 20 below": float(np.quantile(off, 0.95)),
            "hours": float(hours.mean()),
            "mean day": float(weeks.mean()),
            "busiest hour off by": float(np.abs(_hours(told).argmax(axis=1) - _hours(now).argmax(axis=1)).mean()),
            "changes in a day": float((np.diff(method.zone(counts, rng), axis=1) != 0).sum(axis=1).mean()),
        }
        typer.echo(f"  peak {peak:3}: " + ", ".join(f"{name} {value:.1f}" for name, value in row.items()))
        rows[str(peak)] = row
    return rows


def _hours(counts: Counts) -> Scores:
    return np.asarray(counts.reshape(len(counts), -1, SLOTS_AN_HOUR).mean(axis=2), np.float64)


if __name__ == "__main__":
    typer.run(main)
