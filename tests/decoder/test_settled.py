"""What a device is settled in: a first fix, evidence, an edge, the outline, another campus, what nobody can read."""

import base64
import json
from typing import cast

import pytest
from redis.asyncio import Redis

from core.errors import BadSettingsError, Reason
from core.kinds import DEFAULT_KINDS
from decoder.batch import Batch, BatchDecoder
from decoder.effects import Effects
from decoder.rules import Rules
from decoder.settings import DecoderSettings
from geofence import Geofence, load_campus
from runtime.settings import load
from simulator.truth import moved
from state.devices import Settling, away_key, forget_device, newest_key, zones_of_newest
from state.effect_parts import Outside
from tests.conftest import NOON
from tests.decoder.conftest import HASHER, LIBRARY, TTL, dead_letters, effects_of, position, raw
from tests.decoder.test_settling import TAG, Sent, batch_of, present
from tests.kinds_of_tests import CAR
from tests.oracle.believed import Said

IN, OUT = Said(NOON, ("campus", "a"), (("a", 30),)), Said(NOON, ("campus",), (("a", -30),))


@pytest.fixture
def effects(redis_client: Redis) -> Effects:
    return effects_of(redis_client, settling=Settling(fixes=3, keep=8))


def at(said: Said, offset: int) -> Sent:
    return Sent("one", NOON + offset, Said(NOON + offset, said.zones, said.margins))


async def test_a_first_fix_counts_at_once_however_near_the_edge_it_is(redis_client: Redis, effects: Effects) -> None:
    await effects.apply(batch_of([at(IN, -1000)]), now=NOON)
    assert await present(redis_client, "a") == {"campus": ["one"], "a": ["one"]}


async def test_three_in_a_row_or_two_that_are_far_enough_say_that_it_is_elsewhere(
    redis_client: Redis, effects: Effects
) -> None:
    await effects.apply(batch_of([at(IN, -9000), at(OUT, -8000), at(OUT, -7000)]), now=NOON)
    assert "a" in await present(redis_client, "a")
    await effects.apply(batch_of([at(OUT, -6000)]), now=NOON)
    assert await present(redis_client, "a") == {"campus": ["one"]}
    far = Said(0, ("campus", "a"), (("a", 70),))
    await effects.apply(batch_of([at(far, -5000)]), now=NOON)
    assert "a" not in await present(redis_client, "a")
    await effects.apply(batch_of([at(IN, -4000)]), now=NOON)
    assert "a" in await present(redis_client, "a")


async def test_a_device_may_be_settled_where_its_newest_position_is_not_and_is_forgotten_there(
    redis_client: Redis, effects: Effects
) -> None:
    await effects.apply(batch_of([at(IN, -2000), at(OUT, -1000)]), now=NOON)
    assert await present(redis_client, "a") == {"campus": ["one"], "a": ["one"]}
    newest = cast("bytes", await redis_client.get(newest_key(TAG, "one")))
    assert zones_of_newest(newest) == ["campus", "a"]
    gone = await forget_device(redis_client, TAG, device="one", away=HASHER.away("one"), kind=CAR, zones=[])
    # Where it was, two zones, and what it was seen in that day.
    assert gone == (2, 4)
    assert not await redis_client.keys("presence:*")


async def test_when_a_device_was_outside_is_forgotten_also_where_no_zone_is_known(redis_client: Redis) -> None:
    away = HASHER.away("one")
    await redis_client.zadd(away_key(TAG, away), {away: NOON})
    assert await forget_device(redis_client, TAG, device="one", away=away, kind=CAR, zones=[]) == (0, 1)
    assert not await redis_client.exists(away_key(TAG, away))


async def test_a_position_of_which_the_edge_is_not_known_to_be_far_is_kept_as_it_is_for_windows(
    redis_client: Redis, effects: Effects
) -> None:
    """Windows count each position, presence does not."""
    await effects.apply(batch_of([at(OUT, -2000), at(IN, -1000)]), now=NOON)
    assert await present(redis_client, "a") == {"campus": ["one"]}
    fields = await redis_client.hkeys(next(iter(await redis_client.keys("seen:*"))))
    assert {field.split(b":")[0] for field in cast("list[bytes]", fields)} >= {b"campus", b"a"}


async def test_a_time_outside_that_comes_late_cuts_off_what_was_before_it_and_is_kept_meanwhile(
    redis_client: Redis, effects: Effects
) -> None:
    sure = Said(0, ("campus", "a"))
    await effects.apply(batch_of([at(sure, -9000), at(OUT, -2000)]), now=NOON)
    assert "a" in await present(redis_client, "a")
    await effects.apply(Batch(outside=[Outside(CAR, "one", NOON - 5000)]), now=NOON)
    assert await present(redis_client, "a") == {"campus": ["one"]}
    away = HASHER.away("one")
    assert await redis_client.zscore(away_key(TAG, away), away) == NOON - 5000
    newest = cast("bytes", await redis_client.get(newest_key(TAG, "one")))
    assert (NOON - 5000).to_bytes(8, "little") not in newest
    # What was before it comes once more, and changes nothing.
    await effects.apply(batch_of([at(sure, -9000)]), now=NOON)
    assert await present(redis_client, "a") == {"campus": ["one"]}
    # Nor does it stay once the device is surely inside.
    await effects.apply(batch_of([at(sure, -1000)]), now=NOON)
    assert not await redis_client.keys("away:*")


async def test_an_inaccurate_position_keeps_a_device_where_it_is(redis_client: Redis, effects: Effects) -> None:
    vague = Said(0, ("campus",), None)
    await effects.apply(batch_of([at(Said(0, ("campus", "a")), -9000)]), now=NOON)
    await effects.apply(batch_of([at(vague, -1000)]), now=NOON)
    assert await present(redis_client, "a") == {"campus": ["one"], "a": ["one"]}
    assert await redis_client.zscore("presence:{0}:a:car", "one") == NOON - 1000


async def test_of_what_was_fenced_with_another_campus_only_the_newest_counts(
    redis_client: Redis, effects: Effects
) -> None:
    await effects.apply(batch_of([at(IN, -9000), at(IN, -8000), at(IN, -7000)], version="before"), now=NOON)
    assert "a" in await present(redis_client, "a")
    await effects.apply(batch_of([at(OUT, -6000)], version="after"), now=NOON)
    assert await present(redis_client, "a") == {"campus": ["one"]}


@pytest.mark.parametrize("cut", [40, 44, 50, 52, 60, 70])
async def test_a_list_that_nobody_can_read_is_a_dead_letter_once_and_begins_anew(
    redis_client: Redis, effects: Effects, cut: int
) -> None:
    await effects.apply(batch_of([at(IN, -9000), at(OUT, -8000)]), now=NOON)
    key = newest_key(TAG, "one")
    value = cast("bytes", await redis_client.get(key))
    await redis_client.set(key, value[:cut])
    for _ in range(2):
        await effects.apply(batch_of([at(IN, -1000)]), now=NOON)
    assert [letter.reason for letter in await dead_letters(redis_client)] == [Reason.MALFORMED_ENTRY]
    assert await present(redis_client, "a") == {"campus": ["one"], "a": ["one"]}


async def test_more_zones_than_a_list_can_name_leave_the_newest_fixes(redis_client: Redis) -> None:
    effects = effects_of(redis_client, settling=Settling(fixes=3, keep=8))
    for number in range(12):
        zones = [f"zone-{number}-{each}" for each in range(100)]
        said = Said(0, ("campus", *sorted(zones)), tuple((zone, 30) for zone in sorted(zones)))
        await effects.apply(batch_of([at(said, number * 1000 - 20_000)]), now=NOON)
    assert len(cast("bytes", await redis_client.get(newest_key(TAG, "one")))) < 20_000
    assert not await dead_letters(redis_client)


def test_what_is_outside_by_less_than_it_may_be_wrong_makes_nobody_leave() -> None:
    """Nor is it a position: it is counted as outside, and leaves nothing."""
    campus = load_campus(None)
    rules = DecoderSettings(_env_file=None).rules(DEFAULT_KINDS)
    decoder = BatchDecoder(kinds=DEFAULT_KINDS, fence=Geofence(campus), hasher=HASHER, partitions=1, rules=rules)
    edge = min(campus.boundary.geometry.exterior.coords, key=lambda corner: corner[0])

    def outside_of(metres: float, accuracy: float) -> Batch:
        document = {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": list(moved((edge[0], edge[1]), -metres, 0))},
            "properties": {"device_id": "bus", "timestamp": NOON, "accuracy": accuracy},
        }
        return decoder.decode([raw(base64.b64encode(json.dumps(document).encode()))])

    assert outside_of(30, 15).outside == []
    assert outside_of(30, 15).totals == {"messages": 1, "outside": 1}
    assert len(outside_of(30, 5).outside) == 1
    # Less accurate than 50 m counts as 50 m here.
    assert outside_of(140, 90).outside == []
    assert len(outside_of(160, 90).outside) == 1


def test_a_position_says_how_far_it_is_from_edges_in_whole_numbers() -> None:
    fence = Geofence(load_campus(None))
    rules = Rules({}, margin=3, assumed_accuracy=5)
    decoder = BatchDecoder(kinds=DEFAULT_KINDS, fence=fence, hasher=HASHER, partitions=1, rules=rules)

    def said(accuracy: float | None, place: tuple[float, float] = LIBRARY) -> object:
        properties = {"device_id": "bus", "timestamp": NOON}
        document = {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": list(place)},
            "properties": properties if accuracy is None else {**properties, "accuracy": accuracy},
        }
        batch = decoder.decode([raw(base64.b64encode(json.dumps(document).encode()))])
        assert batch.said is not None
        return batch.said[0]

    # The middle of the library is some 20 m from its walls.
    assert said(1) == ()
    assert said(None) == said(5) == said(0)
    assert dict(cast("tuple[tuple[str, int], ...]", said(30)))["glucksman-library"] in range(10, 40)
    assert said(101) is None


async def test_with_a_margin_of_0_each_position_is_sure(redis_client: Redis) -> None:
    settings = DecoderSettings(_env_file=None, presence_margin=0)
    assert settings.settling is None
    decoder = BatchDecoder(
        kinds=DEFAULT_KINDS,
        fence=Geofence(load_campus(None)),
        hasher=HASHER,
        partitions=1,
        rules=settings.rules(DEFAULT_KINDS),
    )
    assert decoder.decode([]).said is None
    effects = effects_of(redis_client)
    await effects.apply(Batch(positions=[position("one", NOON - 1000, "a"), position("one", NOON)]), now=NOON)
    assert await present(redis_client, "a") == {"campus": ["one"]}
    assert 0 < await redis_client.pttl(newest_key(TAG, "one")) <= TTL * 1000


async def test_a_time_outside_that_comes_late_takes_evidence_from_before_it(
    redis_client: Redis, effects: Effects
) -> None:
    await effects.apply(batch_of([at(IN, -9000), at(IN, -8000), at(IN, -7000), at(OUT, -2000)]), now=NOON)
    assert "a" in await present(redis_client, "a")
    await effects.apply(Batch(outside=[Outside(CAR, "one", NOON - 5000)]), now=NOON)
    assert await present(redis_client, "a") == {"campus": ["one"]}


async def test_a_row_is_only_as_long_as_what_counts_of_it(redis_client: Redis, effects: Effects) -> None:
    """A sure position that comes late, between two of a row, cuts it in two."""
    weak = Said(0, ("campus",), (("a", -10),))
    await effects.apply(batch_of([at(weak, -9000), at(weak, -7000)]), now=NOON)
    await effects.apply(batch_of([at(Said(0, ("campus", "a")), -8000)]), now=NOON)
    await effects.apply(batch_of([at(weak, -6000)]), now=NOON)
    assert "a" in await present(redis_client, "a")
    await effects.apply(batch_of([at(weak, -5000)]), now=NOON)
    assert "a" not in await present(redis_client, "a")


def test_settings_with_which_no_row_is_ever_long_enough_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESENCE_KEEP", "11")
    with pytest.raises(BadSettingsError, match=r"PRESENCE_KEEP: .*fewer than PRESENCE_FIXES \(12\)"):
        load(DecoderSettings)
    monkeypatch.setenv("PRESENCE_FIXES", "11")
    assert load(DecoderSettings).settling == (11, 11)
