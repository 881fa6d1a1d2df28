import asyncio
from collections.abc import Container

import pytest

from api.feed import Body, Look, OccupancyFeed


def look(version: str = "v1", at: int = 0, **counts: int) -> Look:
    """A look at zones that each have a count."""
    bodies = {
        zone: Body(b'{"zone":"%b","car":%d,"at":%d}' % (zone.encode(), car, at), car) for zone, car in counts.items()
    }

    def some(wanted: Container[str]) -> bytes:
        return b"[%b]" % b",".join(body.json for zone, body in bodies.items() if zone in wanted)

    return Look(at=at, version=version, everything=some(bodies), zones=bodies, of=some)


def a_feed(*looks: Look, ring: int = 100) -> OccupancyFeed:
    feed = OccupancyFeed(ring=ring, run="run")
    for each in looks:
        feed.take(each)
    return feed


def test_the_first_look_is_no_change() -> None:
    feed = a_feed(look(a=1, b=2))

    assert feed.number == 0
    assert feed.since(0) == b""


def test_a_change_has_a_number_and_the_body_of_its_zone() -> None:
    feed = a_feed(look(a=1, b=2), look(a=1, b=3))

    assert feed.since(0) == b'event: occupancy\nid: run-1\ndata: {"zone":"b","car":3,"at":0}\n\n'
    assert feed.since(1) == b""


def test_time_alone_is_no_change() -> None:
    feed = a_feed(look(a=1), look(at=1000, a=1))

    assert feed.number == 0
    assert feed.latest is not None
    assert feed.latest.at == 1000


def test_what_a_filter_leaves_out_is_not_there_but_has_its_number() -> None:
    feed = a_feed(look(a=1, b=1), look(a=2, b=2))

    assert feed.since(0, frozenset("b")) == b'event: occupancy\nid: run-2\ndata: {"zone":"b","car":2,"at":0}\n\n'
    assert feed.since(0, frozenset("c")) == b""


def test_who_has_seen_a_part_of_a_look_gets_the_rest_of_it_and_the_next_ones() -> None:
    feed = a_feed(look(a=1, b=1), look(a=2, b=2), look(a=3, b=2))

    missed = feed.since(1)

    assert missed is not None
    assert [line for line in missed.decode().splitlines() if line.startswith("id")] == ["id: run-2", "id: run-3"]


def test_another_campus_is_told_to_all_before_its_zones() -> None:
    feed = a_feed(look(a=1, b=1), look("v2", a=1, c=0))

    assert feed.since(0, frozenset("a")) == b'event: zones\nid: run-1\ndata: {"version":"v2"}\n\n'
    assert b'"zone":"c"' in (feed.since(1) or b"")
    assert feed.latest is not None
    assert "b" not in feed.latest.zones


def test_no_more_changes_are_kept_than_the_ring_holds() -> None:
    feed = a_feed(look(a=0), *(look(a=count) for count in range(1, 50)), ring=10)

    assert feed.number == 49
    assert feed.since(38) is None
    assert (feed.since(39) or b"").count(b"event: ") == 10
    # They go with their look.
    assert len(feed._batches) == 10


def test_a_look_that_alone_exceeds_the_ring_is_still_read_by_all() -> None:
    feed = a_feed(look(a=0, b=0, c=0), look(a=1, b=1, c=1), ring=2)

    assert (feed.since(0) or b"").count(b"event: ") == 3


def test_all_who_want_all_share_the_same_bytes() -> None:
    feed = a_feed(look(a=0, b=0), look(a=1, b=1))

    assert feed.since(0) is feed.since(0)
    assert feed.snapshot() is feed.snapshot()


def test_the_snapshot_is_made_anew_after_a_look() -> None:
    feed = a_feed(look(a=1))
    before = feed.snapshot()
    feed.take(look(a=2))

    assert feed.snapshot() != before
    assert feed.snapshot(frozenset("a")) == b'event: snapshot\nid: run-1\ndata: [{"zone":"a","car":2,"at":0}]\n\n'


@pytest.mark.parametrize(
    "event_id", ["other-1", "run-2", "run--1", "run-x", "run-", "", "1", "run-1 ", "run-\u0661", "run-" + "9" * 5000]
)
def test_an_id_that_was_never_given_is_unknown(event_id: str) -> None:
    assert a_feed(look(a=1), look(a=2)).number_of(event_id) is None


def test_an_id_that_was_given_is_known() -> None:
    feed = a_feed(look(a=1), look(a=2))

    assert [feed.number_of(feed.event_id(number)) for number in (0, 1)] == [0, 1]


def test_two_processes_do_not_take_their_ids_for_each_others() -> None:
    assert OccupancyFeed().run != OccupancyFeed().run


def test_that_counts_are_old_is_told_once_and_that_they_are_not_any_more() -> None:
    feed = a_feed(look(a=1))
    feed.missed(stale=False)
    feed.missed(stale=True)
    feed.missed(stale=True)

    assert feed.since(0) == (
        b'event: stale\nid: run-1\ndata: {"last_updated":"1970-01-01T00:00:00Z",'
        b'"reason":"The counts cannot be read at present."}\n\n'
    )
    assert feed.snapshot().count(b"event: stale") == 1
    feed.take(look(at=1000, a=1))
    assert feed.since(1) == b'event: fresh\nid: run-2\ndata: {"last_updated":"1970-01-01T00:00:01Z"}\n\n'
    assert b"event: stale" not in feed.snapshot()


@pytest.mark.parametrize("happens", ["look", "missed", "close"])
async def test_whatever_happens_wakes_all_who_wait(happens: str) -> None:
    feed = a_feed(look(a=1))
    waiting = [asyncio.create_task(feed.wait()) for _ in range(3)]
    await asyncio.sleep(0)

    match happens:
        case "look":
            feed.take(look(a=1))
        case "missed":
            feed.missed(stale=False)
        case _:
            feed.close()

    async with asyncio.timeout(1):
        await asyncio.gather(*waiting)


async def test_nobody_waits_for_a_feed_that_is_closed() -> None:
    feed = a_feed()
    feed.close()

    async with asyncio.timeout(1):
        await feed.wait()
