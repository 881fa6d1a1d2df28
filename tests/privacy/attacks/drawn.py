"""An administrator draws zones: two that differ by one place alone, in which somebody may be."""

import random
from dataclasses import dataclass

import httpx

from api.auth.keys import Keys, Scope, make_key
from tests.privacy.attacks.outcome import Outcome, Scores, outcome
from tests.privacy.attacks.place import AWAY, ELSEWHERE, Place, rectangle
from tests.privacy.attacks.system import HOUR_MS, SLOT_MS, System

OTHERS = 90
"""Those who are in both zones, as the administrator knows."""
WITH, WITHOUT, TINY = "drawn-with", "drawn-without", "drawn-tiny"
_WEST, _EAST, _EDGE, _SOUTH, _NORTH = 8.1, 9.0, 8.5, 0.4, 1.6
"""Steps of the campus's grid: the others are west of the edge, the place is east of it."""
SPOT: Place = rectangle((8.75, _EAST), (1, _NORTH))[0]
"""Where the phone comes to: some 45 m from the others."""
_TINY_STEPS = 0.05


@dataclass(frozen=True, slots=True)
class Trial:
    """What was told of the zones before and after a phone came, or did not; of those that could be drawn."""

    came: bool
    before: dict[str, int]
    after: dict[str, int]


async def play(system: System, arrivals: int, *, seed: int = 1) -> tuple[list[Trial], list[str]]:
    """So many trials with an arrival, and as many without; and the zones that could be drawn."""
    rng = random.Random(seed)  # noqa: S311 - the same at every run
    headers = await _key(system)
    # Larger than what is least, and than what two zones must differ by; and a place of hardly more than a person.
    rings = {
        WITH: rectangle((_WEST, _EAST), (_SOUTH, _NORTH)),
        WITHOUT: rectangle((_WEST, _EDGE), (_SOUTH, _NORTH)),
        TINY: rectangle((8.75 - _TINY_STEPS, 8.75 + _TINY_STEPS), (1 - _TINY_STEPS, 1 + _TINY_STEPS)),
    }
    drawn = [name for name, ring in rings.items() if await _draw(system, headers, name, ring)]
    await system.parts.followed.look()
    await system.send([(f"other-{n}", ELSEWHERE) for n in range(OTHERS)])
    # Where counts are released, a new zone tells nothing until the next whole hour.
    system.clock.now = (system.clock.now // HOUR_MS + 1) * HOUR_MS
    coins = [came for came in (True, False) for _ in range(arrivals)]
    rng.shuffle(coins)
    trials = []
    for number, came in enumerate(coins):
        await system.forget_walks()
        await system.end_slot()
        before = await _counts(system, drawn)
        system.clock.now += rng.randrange(SLOT_MS)
        if came:
            await system.send([(f"phone-{number}", SPOT)])
        await system.end_slot()
        trials.append(Trial(came, before, await _counts(system, drawn)))
        if came:
            await system.send([(f"phone-{number}", AWAY)])
    return trials, drawn


async def _key(system: System) -> dict[str, str]:
    now = system.clock.now
    made = make_key("administrator", [Scope.ADMIN], now=now)
    await Keys(system.redis, clock=lambda: now).add(made.key)
    return {"Authorization": f"Bearer {made.text}"}


async def _draw(system: System, headers: dict[str, str], zone: str, ring: list[Place]) -> bool:
    """Whether it could be drawn, at once or in the hours that follow."""
    body = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"name": zone},
    }
    for _ in range(3):
        answer = await system.client.put(
            f"/v1/zones/{zone}",
            json=body,
            headers={**headers, "If-None-Match": "*", "Content-Type": "application/json"},
        )
        if answer.status_code == httpx.codes.CREATED:
            return True
        assert answer.status_code in {httpx.codes.UNPROCESSABLE_ENTITY, httpx.codes.TOO_MANY_REQUESTS}, answer.text
        system.clock.now += HOUR_MS
    return False


async def _counts(system: System, drawn: list[str]) -> dict[str, int]:
    zones = {each["zone"]: each["mobile"] or 0 for each in (await system.get("/v1/occupancy"))["zones"]}
    return {zone: zones.get(zone, 0) for zone in drawn}


def statistics(trial: Trial) -> Scores:
    """How much more is told of each zone, and of what one has more than the other."""
    more = {zone: trial.after[zone] - trial.before[zone] for zone in trial.after}
    found = {f"more in {zone}": float(count) for zone, count in more.items()}
    if WITH in more and WITHOUT in more:
        found["more in one than in the other"] = more[WITH] - more[WITHOUT]
    return found


def outcomes(trials: list[Trial]) -> list[Outcome]:
    """Whether a phone came."""
    arrived, others = ([statistics(trial) for trial in trials if trial.came is came] for came in (True, False))
    return [outcome("zones that an administrator draws", arrived, others)]
