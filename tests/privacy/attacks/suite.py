"""All attacks on one system after the other, each with a Redis and stores that are empty."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from api.auth.keys import Scope
from disclosure.policy import Privacy
from tests.privacy.attacks import alone, cars, crowd, drawn, forecasts, known_id
from tests.privacy.attacks.outcome import Bound, Outcome
from tests.privacy.attacks.system import System, running

MIN_COUNT = 5
"""PRIVACY_MIN_COUNT under `open`: what is withheld is told nevertheless."""
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of its own is made there
_HALF_HOURS = 10
Found = Outcome | Bound
Suite = Callable[[System, int], Awaitable[Sequence[Found]]]


async def of_a_phone_alone(system: System, arrivals: int) -> Sequence[Found]:
    """In a zone that hardly anybody is in."""
    return alone.outcomes(await alone.play(system, arrivals))


async def of_a_car(system: System, arrivals: int) -> Sequence[Found]:
    """Of which there is only one."""
    return cars.outcomes(await cars.play(system, arrivals))


async def of_crowded_zones(system: System, arrivals: int) -> Sequence[Found]:
    """Where a zone is so full that it is told."""
    return crowd.outcomes(await crowd.play(system, arrivals), "in a zone", _width(system))


async def of_a_crowded_campus(system: System, arrivals: int) -> Sequence[Found]:
    """Where the campus is so full that it is told."""
    policy = system.policy
    trials = await crowd.play(system, arrivals, ground=crowd.CAMPUS)
    return crowd.outcomes(trials, "on the campus", None if policy.is_open else policy.campus_width)


async def of_a_known_id(system: System, arrivals: int) -> Sequence[Found]:
    """Of somebody whose device's id is known."""
    days = max(1, 2 * arrivals // known_id.STUDENTS)
    found: list[Outcome] = []
    for scope in (Scope.POSITIONS_READ, Scope.POSITIONS_EXACT):
        found += known_id.outcomes(await known_id.play(system, days, scope=scope), scope)
    return found


async def of_zones_that_are_drawn(system: System, arrivals: int) -> Sequence[Found]:
    """By an administrator, to see one place."""
    trials, _ = await drawn.play(system, arrivals)
    return drawn.outcomes(trials)


async def of_forecasts(system: System, arrivals: int) -> Sequence[Found]:
    """Of which each takes half an hour: so there are fewer of them."""
    return forecasts.outcomes(await forecasts.play(system, max(5, arrivals // _HALF_HOURS)))


SUITES: tuple[Suite, ...] = (
    of_zones_that_are_drawn,
    of_a_phone_alone,
    of_a_car,
    of_crowded_zones,
    of_a_crowded_campus,
    of_a_known_id,
    of_forecasts,
)


@asynccontextmanager
async def attacked(url: str, profile: Privacy) -> AsyncIterator[System]:
    """A system under this profile, on the Redis at this address."""
    # Each write to a disk would be waited for, and nothing of it is kept.
    with tempfile.TemporaryDirectory(prefix="attacks-", dir=_MEMORY) as folder:
        least = {"privacy_min_count": MIN_COUNT} if profile is Privacy.OPEN else {}
        async with running(url, Path(folder), privacy=profile, **least) as system:
            yield system


async def all_outcomes(url: str, profile: Privacy, arrivals: int, tell: Callable[[Found], None]) -> Sequence[Found]:
    """What all attacks come to, each told once it is over."""
    found: list[Found] = []
    for suite in SUITES:
        async with attacked(url, profile) as system:
            for each in await suite(system, arrivals):
                tell(each)
                found.append(each)
    return found


def _width(system: System) -> int | None:
    return None if system.policy.is_open else system.policy.width
