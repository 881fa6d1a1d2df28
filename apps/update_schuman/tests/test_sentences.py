"""What the versions of update-schuman say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.kit.campus import Campus, CampusError, Zone
from apps.kit.settings import AppSettings
from apps.update_schuman.v1.sentence import sentence as of_version_1
from apps.update_schuman.v2.sentence import Sentences, quietest_hour

MONDAY = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)


def zone(*, phones: int | None = 42, stale: str | None = None) -> Zone:
    return Zone(name="The building", phones=phones, cars=0, percentage=None, stale=stale)


def summary(devices: list[float | None]) -> dict[str, Any]:
    """As the API answers it, where a Monday has these devices by hour from 8 on."""
    hours = [{"hour": hour, "devices": count} for hour, count in enumerate(devices, 8)]
    return {"campus_timezone": "Europe/Dublin", "popular_times": [{"weekday": "monday", "hours": hours}]}


class FakeCampus(Campus):
    """A campus whose API answers one thing, or not at all."""

    def __init__(self, body: dict[str, Any] | None) -> None:
        super().__init__(AppSettings(), "schuman")
        self.body = body
        self.asked = 0

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        self.asked += 1
        assert (path, query) == ("zones/schuman/occupancy/summary", {"kind": "mobile"})
        if self.body is None:
            raise CampusError("away")
        return self.body


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (zone(), "The building: 42 phones at present."),
        (zone(phones=1), "The building: 1 phone at present."),
        (zone(phones=None), "The building: too few are there to say how many."),
        (zone(stale="no broker lives"), "The building: nobody knows at present how many are there."),
    ],
)
async def test_version_1_says_who_is_there(seen: Zone, text: str) -> None:
    assert await of_version_1(seen, FakeCampus(None), MONDAY) == text


async def test_version_2_says_when_it_is_quiet_today_too() -> None:
    text = await Sentences().sentence(zone(), FakeCampus(summary([30.0, 20.0, 10.0, None, 25.0])), MONDAY)
    assert text == "The building: 42 phones at present. It is usually quietest from 10:00 to 11:00 today."


async def test_version_2_says_what_version_1_says_where_nobody_knows_when_it_is_quiet() -> None:
    for body in (None, {}, summary([None]), {"campus_timezone": "Nowhere", "popular_times": []}):
        assert await Sentences().sentence(zone(), FakeCampus(body), MONDAY) == "The building: 42 phones at present."


async def test_quiet_times_are_asked_for_once_in_a_quarter_of_an_hour() -> None:
    sentences, campus = Sentences(), FakeCampus(summary([1.0]))
    for minutes in (0, 5, 14, 15, 20):
        await sentences.sentence(zone(), campus, MONDAY + timedelta(minutes=minutes))
    assert campus.asked == 2


def test_only_the_hours_of_the_day_count() -> None:
    night = {"hour": 3, "devices": 0.0}
    body = summary([5.0, 4.0])
    body["popular_times"][0]["hours"].append(night)
    assert quietest_hour(body, MONDAY) == 9
