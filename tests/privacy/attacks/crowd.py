"""One phone comes to a crowd that is so large that it is told, and whose number the attacker knows.

The crowds are where a walk may step: there one device can decide it. Sixteen zones have a trial of their own at the
same time, or the campus has one, each with a walk that nobody knows anything of yet and twenty devices of the
attacker's. Of the sixteen as many have a phone each time, so that the campus does not tell which.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.privacy.attack import likelihood
from tests.privacy.attacks.outcome import Bound, Outcome, Scores, bound, outcome
from tests.privacy.attacks.place import AWAY, CROWDED, ELSEWHERE, Place, centre
from tests.privacy.attacks.system import System

OWN = 20
_MOVES = (0, 0, 10, 0, 20, 5)
"""Own devices that are there, slot by slot."""
_ARRIVAL = 1
"""The slot in which the phone comes; it stays."""
_SAME = 24
"""Rounds after which the crowds change."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where crowds are that are told."""

    places: Mapping[str, Place]
    few: int
    many: int
    """Devices in each crowd, without those of the attacker."""


ZONES = Ground({zone: centre(zone) for zone in CROWDED}, 25, 175)
CAMPUS = Ground({"campus": ELSEWHERE}, 100, 520)


@dataclass(frozen=True, slots=True)
class Trial:
    """What was told of one zone."""

    came: bool
    known: tuple[int, ...]
    """Devices but for the phone, by slot; the first is before the arrival."""
    told: tuple[int, ...]
    """The count by slot; what is withheld is nobody."""
    events: tuple[int, ...]
    """Events about the zone, by slot."""


async def play(system: System, arrivals: int, *, ground: Ground = ZONES, seed: int = 1) -> list[Trial]:
    """At least so many trials with an arrival, and about as many without."""
    rng = random.Random(seed)  # noqa: S311 - the same at every run
    zones = [*ground.places]
    rounds = -(-2 * arrivals // len(zones))
    # As many of both: of all zones each time, or of all rounds.
    coins = [[at % 2 == 0 for at in range(len(zones))] if len(zones) > 1 else [n % 2 == 0] for n in range(rounds)]
    rng.shuffle(coins)
    crowds = dict.fromkeys(zones, 0)
    trials: list[Trial] = []
    for number, each in enumerate(coins):
        if number % _SAME == 0:
            crowds = await _crowds(system, ground, crowds, rng)
        rng.shuffle(each)
        trials += await _Round(system, ground, crowds, number).play(dict(zip(zones, each, strict=True)))
    return trials


async def _crowds(system: System, ground: Ground, before: dict[str, int], rng: random.Random) -> dict[str, int]:
    crowds = {zone: rng.randint(ground.few, ground.many) for zone in ground.places}
    for zone, count in crowds.items():
        await system.send([(f"{zone}-{n}", ground.places[zone]) for n in range(before[zone], count)])
        await system.send([(f"{zone}-{n}", AWAY) for n in range(count, before[zone])])
    return crowds


class _Round:
    """A trial in each zone."""

    def __init__(self, system: System, ground: Ground, crowds: dict[str, int], number: int) -> None:
        self._system = system
        self._ground = ground
        self._crowds = crowds
        self._number = number
        self._own = 0
        self._last = system.parts.live.change_log.number

    async def play(self, coins: dict[str, bool]) -> list[Trial]:
        system = self._system
        await system.forget_walks()
        found: list[dict[str, tuple[int, int, int]]] = []
        for slot, own in enumerate(_MOVES):
            if slot == _ARRIVAL:
                await self._phones(coins, come=True)
            await self._move(own)
            await system.end_slot()
            found.append(await self._look())
        await self._phones(coins, come=False)
        await self._move(0)
        trials = []
        for zone, came in coins.items():
            known, told, events = zip(*(each[zone] for each in found), strict=True)
            trials.append(Trial(came, known, told, events))
        return trials

    async def _phones(self, coins: dict[str, bool], *, come: bool) -> None:
        places = self._ground.places
        await self._system.send(
            [(f"phone-{self._number}-{zone}", places[zone] if come else AWAY) for zone in places if coins[zone]]
        )

    async def _move(self, own: int) -> None:
        for zone, place in self._ground.places.items():
            come = [(f"own-{zone}-{n}", place) for n in range(self._own, own)]
            go = [(f"own-{zone}-{n}", AWAY) for n in range(own, self._own)]
            await self._system.send([*come, *go])
        self._own = own

    async def _look(self) -> dict[str, tuple[int, int, int]]:
        """By zone: what is known, what is told, and events."""
        system = self._system
        counts = {each["zone"]: each["mobile"] or 0 for each in (await system.get("/v1/occupancy"))["zones"]}
        stream = system.events_since(self._last)
        self._last = system.parts.live.change_log.number
        return {
            zone: (self._crowds[zone] + self._own, counts[zone], stream.count(f'"zone":"{zone}"'.encode()))
            for zone in self._ground.places
        }


def counts(trial: Trial) -> Scores:
    """How far what is told is from what is known, and how it changes."""
    more = [told - known for told, known in zip(trial.told, trial.known, strict=True)]
    after = more[_ARRIVAL:]
    return {
        "more at once": more[_ARRIVAL] - more[_ARRIVAL - 1],
        "mean": sum(after) / len(after),
        "most": max(after),
        "least": min(after),
        "events at once": trial.events[_ARRIVAL],
        "events": sum(trial.events[_ARRIVAL:]),
        "changes": sum(one != other for one, other in zip(trial.told, trial.told[1:], strict=False)),
    }


def ratios(trials: Sequence[Trial], width: int) -> list[float]:
    """How much likelier what was told is with the phone than without it, as logarithms.

    Raises AssertionError for what no walk could have told of the true counts.
    """
    told = np.array([trial.told for trial in trials])
    known = np.array([trial.known for trial in trials])
    with_it = likelihood(told, known + (np.arange(known.shape[1]) >= _ARRIVAL), width)
    without = likelihood(told, known, width)
    true = np.where([trial.came for trial in trials], with_it, without)
    assert np.isfinite(true).all(), "something was told that does not follow from the true counts by a walk"
    return [float(each) for each in with_it - without]


def outcomes(trials: Sequence[Trial], where: str, width: int | None) -> list[Outcome | Bound]:
    """What the counts come to; where they are walks of this width, what is known of thresholds as well."""
    came, absent = ([trial for trial in trials if trial.came is each] for each in (True, False))
    told = outcome(f"a known crowd {where}", [counts(trial) for trial in came], [counts(trial) for trial in absent])
    if width is None:
        return [told]
    likelier, less = ratios(came, width), ratios(absent, width)
    by_ratio = outcome(
        f"thresholds that are left {where}",
        [{"what is likelier": each} for each in likelier],
        [{"what is likelier": each} for each in less],
    )
    return [told, by_ratio, bound(f"anything that is told {where}", less)]
