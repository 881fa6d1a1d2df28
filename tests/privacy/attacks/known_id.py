"""Somebody knows a student's id, may publish, and has a key for positions: what did that student do all term?

The attacker posts one position for the id, at a place where nobody else is, reads there what it became, and asks for
all that has the same name.
"""

import random
from dataclasses import dataclass
from typing import Any

import httpx

from api.auth.keys import Keys, Scope, make_key
from core.clock import format_rfc3339
from tests.privacy.attacks.outcome import Outcome, outcome
from tests.privacy.attacks.place import CROWDED, ELSEWHERE, SMALL, Place, centre
from tests.privacy.attacks.system import System

STUDENTS = 40
DAYS = 20
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a student, with what the attacker has found of it."""

    came: bool
    found: int
    """Positions."""


async def play(system: System, days: int = DAYS, *, scope: Scope, seed: int = 1) -> list[Day]:
    """Every day each student comes or does not; then each is asked for, of whom the id is known."""
    rng = random.Random(seed)  # noqa: S311 - the same at every run
    came = {(student, day): rng.random() < 1 / 2 for student in range(STUDENTS) for day in range(days)}
    begin = system.clock.now
    for day in range(days):
        system.clock.now = begin + day * _DAY_MS
        for student in range(STUDENTS):
            if came[student, day]:
                await system.send(
                    [(_name(student, scope), centre(rng.choice((*SMALL, *CROWDED))))], user=_name(student, scope)
                )
        await system.archive()
    system.clock.now = begin + days * _DAY_MS
    headers = await _key(system, scope)
    return [
        Day(came[student, day], found)
        for student in range(STUDENTS)
        for day, found in enumerate(await _history(system, scope, headers, student, begin, days))
    ]


async def _key(system: System, scope: Scope) -> dict[str, str]:
    now = system.clock.now
    made = make_key("attacker", [scope], now=now, purpose="a thesis on where students are")
    await Keys(system.redis, clock=lambda: now).add(made.key)
    return {"Authorization": f"Bearer {made.text}"}


async def _history(
    system: System, scope: Scope, headers: dict[str, str], student: int, begin: int, days: int
) -> list[int]:
    """Positions that are found of each day."""
    own = ELSEWHERE[0], ELSEWHERE[1] + student * 1e-5
    posted = system.clock.now
    await system.send([(_name(student, scope), own)])
    await system.archive()
    system.clock.now += 1000
    there = await _features(system, headers, posted, posted + 1000, near=f"{own[0]},{own[1]}", distance=50)
    names = {name for each in there if _near(each, own) for name in [each.get("properties", {}).get("device")] if name}
    counts = []
    for day in range(days):
        start = begin + day * _DAY_MS - _HOUR_MS
        counts.append(
            sum([len(await _features(system, headers, start, start + 2 * _HOUR_MS, device=name)) for name in names])
        )
    return counts


async def _features(
    system: System, headers: dict[str, str], start: int, end: int, **asked: str | float
) -> list[dict[str, Any]]:
    """What is refused is nothing."""
    times = {"start": format_rfc3339(start), "end": format_rfc3339(end)}
    answer = await system.client.get("/v1/positions", params={**times, **asked}, headers=headers)
    return list(answer.json()["features"]) if answer.status_code == httpx.codes.OK else []


def _near(feature: dict[str, Any], place: Place) -> bool:
    longitude, latitude = feature["geometry"]["coordinates"][:2]
    return abs(longitude - place[0]) + abs(latitude - place[1]) < 1e-5 / 2 if isinstance(longitude, float) else False


def _name(student: int, scope: Scope) -> str:
    return f"student-{student}-{scope.name}"


def outcomes(days: list[Day], scope: Scope) -> list[Outcome]:
    """Whether a student came on a day."""
    arrived, others = ([{"positions": day.found} for day in days if day.came is came] for came in (True, False))
    return [outcome(f"a known id, with {scope}", arrived, others)]
