"""Counts that could tell of one person are given nowhere."""

import dataclasses

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from api.occupancy.body import OccupancyBodies
from api.privacy import least_of, shown_count, shown_counts
from core.kinds import DEFAULT_KINDS, KindId, Kinds
from geofence import Campus
from state.presence import Presence
from tests.api.conftest import Parts, arrive, client_over
from tests.conftest import NOON
from tests.kinds.tables import SIX_KINDS, kind
from tests.kinds_of_tests import CAR, MOBILE

CATEGORIES = ("car_park", "bicycle_park", None)


@st.composite
def tables(draw: st.DrawFn) -> Kinds:
    """A table of one to five kinds, of which any number stand for people and take up the capacity of any zones."""
    return Kinds(
        [
            kind(
                f"kind_{number}",
                "one",
                "many",
                "#000000",
                "#ffffff",
                person=draw(st.booleans()),
                capacity_of=tuple(draw(st.sets(st.sampled_from(["car_park", "bicycle_park"])))),
            )
            for number in range(draw(st.integers(1, 5)))
        ]
    )


@given(count=st.integers(0, 50), least=st.integers(0, 50))
def test_a_count_of_people_is_shown_from_the_least_number_on_and_of_others_always(count: int, least: int) -> None:
    assert shown_count(count, least_of(MOBILE, DEFAULT_KINDS, least)) == (
        (None, True) if count < least else (count, False)
    )
    assert shown_count(count, least_of(CAR, DEFAULT_KINDS, least)) == (count, False)


@given(kinds=tables(), category=st.sampled_from(CATEGORIES), least=st.integers(0, 9), data=st.data())
def test_nothing_that_is_told_depends_on_a_count_that_is_withheld(
    kinds: Kinds, category: str | None, least: int, data: st.DataObject
) -> None:
    counts = {kind: data.draw(st.integers(0, 20)) for kind in kinds.ids}
    withheld = [kind for kind in kinds.ids if kinds[kind].person and counts[kind] < least]

    shown = shown_counts(counts, kinds, category=category, least=least)
    others = counts | {kind: data.draw(st.integers(0, least - 1)) for kind in withheld}

    assert shown == shown_counts(others, kinds, category=category, least=least)
    assert [kind for kind, count in shown.counts.items() if count is None] == withheld
    assert shown.suppressed == bool(withheld)
    # All others are known, so that a total would tell.
    assert shown.total == (None if withheld else sum(counts.values()))


@given(kinds=tables(), category=st.sampled_from(CATEGORIES), data=st.data())
def test_the_capacity_is_taken_up_by_the_kinds_that_name_the_category_or_else_by_all(
    kinds: Kinds, category: str | None, data: st.DataObject
) -> None:
    counts = {kind: data.draw(st.integers(0, 20)) for kind in kinds.ids}
    takers = [kind.id for kind in kinds if category in kind.capacity_of] or [*kinds.ids]

    shown = shown_counts(counts, kinds, category=category, least=0)

    assert shown.used == sum(counts[kind] for kind in takers)


def body(campus: Campus, kinds: Kinds, zone: str, present: dict[KindId, Presence], *, least: int = 5) -> bytes:
    """What is said of a zone with room for ten."""
    known = dataclasses.replace(campus.by_id[zone], capacity=10)
    return OccupancyBodies(kinds, least=least).zone_part(known, present).json


@pytest.mark.parametrize("zone", ["kemmy", "car-park-west"])
def test_a_body_with_a_suppressed_count_is_the_same_whatever_it_is(campus: Campus, zone: str) -> None:
    def of(phones: int, seen: int | None) -> bytes:
        present = {CAR: Presence(2, NOON - 9000), MOBILE: Presence(phones, seen)}
        return body(campus, DEFAULT_KINDS, zone, present)

    assert of(0, None) == of(1, NOON) == of(4, NOON - 1)
    assert of(5, NOON) != of(6, NOON)


def test_of_two_kinds_of_people_each_is_withheld_by_itself(campus: Campus) -> None:
    present = {kind: Presence(9, NOON - 9000) for kind in SIX_KINDS.ids}
    present |= {MOBILE: Presence(7, NOON - 3000), KindId("watch"): Presence(4, NOON)}

    said = msgspec.json.decode(body(campus, SIX_KINDS, "kemmy", present) + b"}")
    in_car_park = msgspec.json.decode(body(campus, SIX_KINDS, "car-park-west", present) + b"}")

    assert (said["mobile"], said["watch"], said["total"], said["percentage"]) == (7, None, None, None)
    assert (said["suppressed"], said["observed_at"]) == (True, "2026-03-01T11:59:57Z")
    assert (in_car_park["car"], in_car_park["percentage"]) == (9, 90.0)


async def test_without_the_setting_every_count_is_shown(parts: Parts, redis_client: Redis) -> None:
    await arrive(redis_client, "kemmy", MOBILE, NOON)
    async with client_over(parts) as client:
        body = (await client.get("/v1/zones/kemmy/occupancy")).json()

    assert (body["mobile"], body["total"], body["suppressed"]) == (1, 1, False)


async def test_with_the_setting_small_counts_are_null_and_come_last(parts: Parts, redis_client: Redis) -> None:
    few = dataclasses.replace(parts, settings=parts.settings.model_copy(update={"privacy_min_count": 3}))
    await arrive(redis_client, "kemmy", MOBILE, NOON, NOON - 1)
    await arrive(redis_client, "kemmy", CAR, *range(NOON - 50, NOON))
    await arrive(redis_client, "schuman", MOBILE, NOON, NOON - 1, NOON - 2)
    async with client_over(few) as client:
        zones = (await client.get("/v1/occupancy", params={"sort": "count"})).json()["zones"]

    assert (zones[0]["zone"], zones[0]["mobile"], zones[0]["suppressed"]) == ("schuman", 3, False)
    [kemmy] = [zone for zone in zones if zone["zone"] == "kemmy"]
    assert (kemmy["mobile"], kemmy["total"], kemmy["car"], kemmy["suppressed"]) == (None, None, 50, True)
    assert {zone["total"] for zone in zones[1:]} == {None}
