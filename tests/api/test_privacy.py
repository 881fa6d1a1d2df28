"""Counts that could tell of one person are given nowhere."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from api.occupancy.body import zone_counts
from api.privacy import shown_count, shown_counts
from geofence import Campus
from state.presence import Presence
from tests.api.conftest import Parts, arrive, client_over
from tests.conftest import NOON
from tests.kinds_of_tests import CAR, MOBILE


@given(car=st.integers(0, 50), mobile=st.integers(0, 50), least=st.integers(0, 50))
def test_a_count_is_shown_from_the_least_number_on_and_no_other_figure_tells_it(
    car: int, mobile: int, least: int
) -> None:
    shown = shown_counts(car=car, mobile=mobile, least=least)

    assert shown.suppressed == (mobile < least)
    assert (shown.mobile, shown.suppressed) == shown_count(mobile, least)
    assert (shown.mobile, shown.total) == ((None, None) if shown.suppressed else (mobile, car + mobile))


@pytest.mark.parametrize("zone", ["kemmy", "car-park-west"])
def test_a_body_with_a_suppressed_count_is_the_same_whatever_it_is(campus: Campus, zone: str) -> None:
    known = dataclasses.replace(campus.by_id[zone], capacity=10)

    def body(phones: int, seen: int | None) -> object:
        present = {CAR: Presence(2, NOON - 9000), MOBILE: Presence(phones, seen)}
        return zone_counts(known, present, least=5)

    assert body(0, None) == body(1, NOON) == body(4, NOON - 1)
    assert body(5, NOON) != body(6, NOON)


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
