"""A lone car goes through five of eight zones: cars were never withheld, so that its path was told."""

import random
from dataclasses import dataclass

from tests.privacy.attacks.outcome import Outcome, Scores, outcome
from tests.privacy.attacks.place import AWAY, SMALL, centre
from tests.privacy.attacks.system import System

VISITS = 5


@dataclass(frozen=True, slots=True)
class Journey:
    """Where a car went, slot by slot, and where most came as far as it is told."""

    path: tuple[str, ...]
    """Empty where there was none."""
    told: tuple[str | None, ...]


async def play(system: System, arrivals: int, *, seed: int = 1) -> list[Journey]:
    """So many journeys, and as many times nobody's."""
    rng = random.Random(seed)  # noqa: S311 - the same at every run
    coins = [came for came in (True, False) for _ in range(arrivals)]
    rng.shuffle(coins)
    journeys = []
    for number, came in enumerate(coins):
        path, car = tuple(rng.sample(SMALL, VISITS)), f"car-{number}"
        await system.forget_walks()
        await system.end_slot()
        before = await _cars(system)
        told: list[str | None] = []
        for zone in path:
            if came:
                await system.send([(car, centre(zone))], "car")
            await system.end_slot()
            now = await _cars(system)
            most = max(SMALL, key=lambda each: now[each] - before[each])
            told.append(most if now[most] > before[most] else None)
            before = now
        if came:
            await system.send([(car, AWAY)], "car")
        journeys.append(Journey(path if came else (), tuple(told)))
    return journeys


async def _cars(system: System) -> dict[str, int]:
    return {each["zone"]: each["car"] or 0 for each in (await system.get("/v1/occupancy"))["zones"]}


def recovered(journeys: list[Journey]) -> int:
    """Paths that are told from the first zone to the last."""
    return sum(journey.path == journey.told for journey in journeys if journey.path)


def outcomes(journeys: list[Journey]) -> list[Outcome]:
    """Whether there was a journey, by how many of its zones are told."""
    arrived, others = ([_score(each) for each in journeys if bool(each.path) is came] for came in (True, False))
    return [outcome("the path of a lone car", arrived, others)]


def _score(journey: Journey) -> Scores:
    return {"zones of a path": sum(zone is not None for zone in journey.told)}
