"""Who there is: people, the device that each carries, and the vehicle that some come with."""

import math
from dataclasses import dataclass
from enum import StrEnum

from core.kinds import Kind, Kinds
from simulator.campus.chance import between, chance, likely, one_of
from simulator.campus.places import Place, Places

WITH_A_VEHICLE = 0.35
"""Of all people: a figure of the right order for a campus outside of a town, and no more."""
_SHARES = {"student": 0.72, "staff": 0.21, "visitor": 0.055, "night": 0.015}
_SKEWS = ((0.90, 1_000), (0.08, 20_000), (0.02, 180_000))
"""How many clocks are wrong by how many milliseconds at the most: all stay below the five minutes that are refused."""
_FIRST_KIND = 4.0
"""How much likelier the first kind is than each other."""


class Role(StrEnum):
    """What brings somebody to the campus."""

    STUDENT = "student"
    STAFF = "staff"
    VISITOR = "visitor"
    """On open days, and seldom otherwise."""
    NIGHT = "night"
    """Who cleans, and keeps watch."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A device, as it is built."""

    id: str
    kind: Kind
    vehicle: bool
    skew_ms: int
    """How far its clock is ahead."""
    noise: float
    """How much worse than others its receiver is; 1 is as others."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who comes to the campus on some days."""

    number: int
    role: Role
    carried: Unit | None
    vehicle: Unit | None
    home: Place
    """The building that is theirs."""
    others: tuple[Place, ...]
    """Where else they go, at least one."""
    lots: tuple[Place, ...]
    """Where they may leave the vehicle, the nearest first; none where it stands at a door."""
    walking: float
    """Metres a second."""
    keen: float
    """0 to 1: who is below a day's share of people comes."""

    @property
    def units(self) -> tuple[Unit, ...]:
        """Their devices: the one carried first."""
        return tuple(unit for unit in (self.carried, self.vehicle) if unit is not None)


def population(devices: int, seed: int, kinds: Kinds, places: Places) -> list[Person]:
    """People with exactly so many devices between them.

    The first of a larger population are those of a smaller one, but for the last of these, who may come without a
    vehicle so that the number is right.
    """
    people: list[Person] = []
    left = devices
    while left:
        person = _person(len(people), seed, kinds, places, most=left)
        people.append(person)
        left -= len(person.units)
    return people


def _person(number: int, seed: int, kinds: Kinds, places: Places, *, most: int) -> Person:
    source = chance(seed, "person", number)
    role = Role(one_of(source, tuple(_SHARES), tuple(_SHARES.values())))
    home = one_of(source, places.destinations, [place.weight for place in places.destinations])
    others = tuple(
        source.choices(places.destinations, [place.weight for place in places.destinations], k=3 if number % 2 else 2)
    )
    carried, vehicle = _kinds(kinds, places, likely(source, WITH_A_VEHICLE), source.random())
    if carried is not None and most == 1:
        vehicle = None
    lots = places.nearest(places.lots(vehicle), home.middle)[:3] if vehicle is not None else []
    return Person(
        number=number,
        role=role,
        carried=_unit(number, seed, carried, vehicle=False),
        vehicle=_unit(number, seed, vehicle, vehicle=True),
        home=home,
        others=others,
        lots=tuple(lots),
        walking=between(source, 1.1, 1.6),
        keen=source.random(),
    )


def _kinds(kinds: Kinds, places: Places, drives: bool, which: float) -> tuple[Kind | None, Kind | None]:  # noqa: FBT001
    """What is carried, and what is come with; at least one of them."""
    carried = [kind for kind in kinds if kind.person]
    # Where no kind has a zone to stand in, all are left at doors; else few are.
    vehicles = [(kind, _FIRST_KIND if places.lots(kind) else 1.0) for kind in kinds if not kind.person]
    vehicle = _chosen(vehicles, which) if vehicles and (drives or not carried) else None
    weights = [_FIRST_KIND, *(1.0 for _ in carried[1:])]
    return (_chosen(list(zip(carried, weights, strict=True)), which) if carried else None), vehicle


def _chosen(weighted: list[tuple[Kind, float]], which: float) -> Kind:
    reached = which * sum(weight for _, weight in weighted)
    for kind, weight in weighted:
        reached -= weight
        if reached < 0:
            return kind
    return weighted[-1][0]


def _unit(number: int, seed: int, kind: Kind | None, *, vehicle: bool) -> Unit | None:
    if kind is None:
        return None
    source = chance(seed, "unit", number, vehicle)
    most = one_of(source, [most for _, most in _SKEWS], [share for share, _ in _SKEWS])
    return Unit(
        id=f"{kind.id}-{seed}-{number:05d}",
        kind=kind,
        vehicle=vehicle,
        skew_ms=round(between(source, -most, most)),
        noise=math.exp(source.gauss(0.0, 0.25)),
    )
