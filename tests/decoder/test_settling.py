"""Where devices are present follows from what they sent, in whatever order it came (law 2, any order)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from decoder.batch import Batch
from decoder.effects import Effects
from state.devices import Settling, newest_key
from state.effect_parts import Outside
from state.presence import presence_key
from tests.conftest import NOON
from tests.decoder.conftest import TTL, dead_letters, effects_of, position
from tests.kinds_of_tests import CAR
from tests.oracle.believed import Said, believed

# Each example is many scripts.
pytestmark = pytest.mark.timeout(400)
TAG = "{0}"
ZONES = ["a", "b", "c"]
DEVICES = ["one", "two"]
FEW = Settling(fixes=3, keep=8)


@dataclass(frozen=True, slots=True)
class Sent:
    """A position of a device; without `said` it is outside."""

    device: str
    at: int
    said: Said | None


def batch_of(sent: Iterable[Sent], *, number: int = 0, version: str = "") -> Batch:
    inside = [each for each in sent if each.said is not None]
    outside: dict[str, int] = {}
    for each in sent:
        if each.said is None:
            outside[each.device] = max(outside.get(each.device, -1), each.at)
    return Batch(
        number=number,
        fence=version,
        positions=[position(each.device, each.at, *each.said.zones[1:]) for each in inside if each.said],
        said=[each.said.margins for each in inside if each.said],
        outside=[Outside(CAR, device, at) for device, at in outside.items()],
    )


async def present(client: Redis, *zones: str) -> dict[str, list[str]]:
    """The devices in each zone in which there are any."""
    found = {}
    for zone in ("campus", *zones):
        key = presence_key(TAG, zone, CAR)
        members = cast("list[bytes]", await client.zrange(key, 0, -1))
        if members:
            found[zone] = sorted(member.decode() for member in members)
    return found


def expected(sent: Sequence[Sent], settling: Settling, ttl: int = TTL) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for device in DEVICES:
        own = [each for each in sent if each.device == device]
        zones = believed(
            [each.said for each in own if each.said],
            [each.at for each in own if each.said is None],
            fixes=settling.fixes,
            keep=settling.keep,
            ttl=ttl * 1000,
        )
        for zone in zones or ():
            found.setdefault(zone, []).append(device)
    return found


margins = st.dictionaries(
    st.sampled_from(ZONES), st.sampled_from([-95, -60, -30, -1, 0, 20, 40, 60, 95, 96]), max_size=3
)


@st.composite
def saids(draw: st.DrawFn, at: int) -> Said:
    """Sure, not sure, or no evidence."""
    match draw(st.integers(0, 9)):
        case 0 | 1:
            held = draw(st.sets(st.sampled_from(ZONES), max_size=2))
            return Said(at, ("campus", *sorted(held)))
        case 2:
            return Said(at, ("campus",), None)
        case _:
            pairs = tuple(
                sorted(draw(margins.filter(lambda found: any(abs(each) < 96 for each in found.values()))).items())
            )
            return Said(at, ("campus", *(zone for zone, margin in pairs if margin >= 0)), pairs)


@st.composite
def sendings(draw: st.DrawFn) -> list[Sent]:
    """Within the time for which presence lives; some at the same instant, some after long pauses."""
    found, at = [], NOON - TTL * 1000 + 1
    for _ in range(draw(st.integers(0, 25))):
        at = min(at + draw(st.sampled_from([0, 1, 1000, 10_000, 10_000, 10_000])), NOON)
        device = draw(st.sampled_from(DEVICES))
        found.append(Sent(device, at, None if draw(st.integers(0, 12)) == 0 else draw(saids(at))))
    return found


async def apply_in_pieces(effects: Effects, sent: Sequence[Sent], random: Random, now: int = NOON) -> None:
    """In any order, some of it twice, in batches of any size."""
    all_of_it = [*sent, *random.sample(sent, min(len(sent), random.randint(0, 4)))]
    if random.random() < 0.6:
        random.shuffle(all_of_it)
    while all_of_it:
        size = random.choice([1, 1, 2, 5, 30])
        await effects.apply(batch_of(all_of_it[:size]), now=now)
        del all_of_it[:size]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=sendings(), seed=st.integers(0, 2**32), settling=st.sampled_from([FEW, Settling(2, 8), Settling(12, 256)]))
async def test_in_any_order_and_pieces_and_twice_devices_are_where_the_plain_program_has_them(
    redis_client: Redis, sent: list[Sent], seed: int, settling: Settling
) -> None:
    await redis_client.flushall()
    random = Random(seed)  # noqa: S311 - to be repeatable, not secret
    await apply_in_pieces(effects_of(redis_client, settling=settling), sent, random)
    assert await present(redis_client, *ZONES) == expected(sent, settling)
    assert not await dead_letters(redis_client)


@st.composite
def journeys(draw: st.DrawFn) -> list[tuple[int, Sent]]:
    """Over hours, with pauses; each is processed some time later, less than presence lives."""
    found, at = [], NOON
    for _ in range(draw(st.integers(1, 25))):
        at += draw(st.sampled_from([1000, 10_000, 60_000, TTL * 1000, TTL * 1000 + 1, 2 * TTL * 1000]))
        delay = draw(st.sampled_from([0, 0, 0, 1, 30_000, TTL * 1000 - 1]))
        said = None if draw(st.integers(0, 12)) == 0 else draw(saids(at))
        found.append((at + delay, Sent("one", at, said)))
    return sorted(found, key=lambda each: each[0])


async def pass_time(client: Redis, sent: Iterable[Sent], now: int) -> None:
    """What Redis and housekeeping do as time goes by."""
    if max((each.at for each in sent if each.said), default=now) + 2 * TTL * 1000 <= now:
        await client.delete(newest_key(TAG, "one"))
    for key in await client.keys("away:*"):
        await client.zremrangebyscore(key, 0, now - TTL * 1000)
    for key in await client.keys("presence:*"):
        await client.zremrangebyscore(key, 0, now - TTL * 1000)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(journey=journeys())
async def test_what_is_late_by_less_than_presence_lives_changes_nothing_also_over_pauses(
    redis_client: Redis, journey: list[tuple[int, Sent]]
) -> None:
    await redis_client.flushall()
    effects = effects_of(redis_client, settling=FEW)
    done: list[Sent] = []
    for now, sent in journey:
        await pass_time(redis_client, done, now)
        await effects.apply(batch_of([sent]), now=now)
        done.append(sent)
    await pass_time(redis_client, [], now)
    inside = [each.at for each in done if each.said]
    wanted = expected(done, FEW) if inside and max(inside) > now - TTL * 1000 else {}
    assert await present(redis_client, *ZONES) == wanted
