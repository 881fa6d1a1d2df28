import asyncio

import pytest

from api.live.change_log import ChangeLog
from api.occupancy.snapshot import Snapshot, ZonePart
from tests.conftest import WAIT_SECONDS

PARTS: dict[bytes, ZonePart] = {}
"""What is said of a zone, by itself: while that is the same, it is the same object."""


def snapshot(version: str = "v1", at: int = 0, **counts: int) -> Snapshot:
    """A snapshot of zones that each have a count."""
    texts = [b'{"zone":"%b","car":%d' % (zone.encode(), car) for zone, car in counts.items()]
    return Snapshot(
        at=at,
        version=version,
        shared=b'"at":%d' % at,
        zones={zone: place for place, zone in enumerate(counts)},
        parts=[PARTS.setdefault(text, ZonePart(text)) for text in texts],
    )


def a_log(*snapshots: Snapshot, ring: int = 100) -> ChangeLog:
    change_log = ChangeLog(ring=ring, run="run")
    for each in snapshots:
        change_log.take(each)
    return change_log


def test_the_first_snapshot_is_no_change() -> None:
    change_log = a_log(snapshot(a=1, b=2))

    assert change_log.number == 0
    assert change_log.since(0) == b""


def test_a_change_has_a_number_and_the_body_of_its_zone() -> None:
    change_log = a_log(snapshot(a=1, b=2), snapshot(a=1, b=3))

    assert change_log.since(0) == b'event: occupancy\nid: run-1\ndata: {"zone":"b","car":3,"at":0}\n\n'
    assert change_log.since(1) == b""


def test_time_alone_is_no_change() -> None:
    change_log = a_log(snapshot(a=1), snapshot(at=1000, a=1))

    assert change_log.number == 0
    assert change_log.latest is not None
    assert change_log.latest.at == 1000


def test_what_a_filter_leaves_out_is_not_there_but_has_its_number() -> None:
    change_log = a_log(snapshot(a=1, b=1), snapshot(a=2, b=2))

    assert change_log.since(0, frozenset("b")) == b'event: occupancy\nid: run-2\ndata: {"zone":"b","car":2,"at":0}\n\n'
    assert change_log.since(0, frozenset("c")) == b""


def test_who_has_seen_a_part_of_a_snapshot_gets_the_rest_of_it_and_the_next_ones() -> None:
    change_log = a_log(snapshot(a=1, b=1), snapshot(a=2, b=2), snapshot(a=3, b=2))

    missed = change_log.since(1)

    assert missed is not None
    assert [line for line in missed.decode().splitlines() if line.startswith("id")] == ["id: run-2", "id: run-3"]


def test_another_campus_is_told_to_all_before_its_zones() -> None:
    change_log = a_log(snapshot(a=1, b=1), snapshot("v2", a=1, c=0))

    assert change_log.since(0, frozenset("a")) == b'event: zones\nid: run-1\ndata: {"version":"v2"}\n\n'
    assert b'"zone":"c"' in (change_log.since(1) or b"")
    assert change_log.latest is not None
    assert "b" not in change_log.latest.zones


def test_no_more_changes_are_kept_than_the_ring_holds() -> None:
    change_log = a_log(snapshot(a=0), *(snapshot(a=count) for count in range(1, 50)), ring=10)

    assert change_log.number == 49
    assert change_log.since(38) is None
    assert (change_log.since(39) or b"").count(b"event: ") == 10
    # They go with their snapshot.
    assert len(change_log._batches) == 10


def test_a_snapshot_that_alone_exceeds_the_ring_is_still_read_by_all() -> None:
    change_log = a_log(snapshot(a=0, b=0, c=0), snapshot(a=1, b=1, c=1), ring=2)

    assert (change_log.since(0) or b"").count(b"event: ") == 3


def test_what_no_snapshot_has_is_told_with_its_zone_and_a_number() -> None:
    change_log = a_log(snapshot(a=1, b=2))
    change_log.tell("anomaly", {"a": b'{"zone":"a"}', "b": b'{"zone":"b"}'})

    assert change_log.since(1) == b'event: anomaly\nid: run-2\ndata: {"zone":"b"}\n\n'
    assert change_log.since(0, frozenset("a")) == b'event: anomaly\nid: run-1\ndata: {"zone":"a"}\n\n'


def test_all_who_want_all_share_the_same_bytes() -> None:
    change_log = a_log(snapshot(a=0, b=0), snapshot(a=1, b=1))

    assert change_log.since(0) is change_log.since(0)
    assert change_log.snapshot() is change_log.snapshot()


def test_the_snapshot_is_made_anew_after_another() -> None:
    change_log = a_log(snapshot(a=1))
    before = change_log.snapshot()
    change_log.take(snapshot(a=2))

    assert change_log.snapshot() != before
    assert (
        change_log.snapshot(frozenset("a"))
        == b'event: snapshot\nid: run-1\ndata: {"at":0,"zones":[{"zone":"a","car":2,"at":0}]}\n\n'
    )


@pytest.mark.parametrize(
    "event_id", ["other-1", "run-2", "run--1", "run-x", "run-", "", "1", "run-1 ", "run-\u0661", "run-" + "9" * 5000]
)
def test_an_id_that_was_never_given_is_unknown(event_id: str) -> None:
    assert a_log(snapshot(a=1), snapshot(a=2)).number_of(event_id) is None


def test_an_id_that_was_given_is_known() -> None:
    change_log = a_log(snapshot(a=1), snapshot(a=2))

    assert [change_log.number_of(change_log.event_id(number)) for number in (0, 1)] == [0, 1]


def test_two_processes_do_not_take_their_ids_for_each_others() -> None:
    assert ChangeLog().run != ChangeLog().run


def test_that_counts_are_old_is_told_once_and_that_they_are_not_any_more() -> None:
    change_log = a_log(snapshot(a=1))
    change_log.missed(stale=False)
    change_log.missed(stale=True)
    change_log.missed(stale=True)

    assert change_log.since(0) == (
        b'event: stale\nid: run-1\ndata: {"last_updated":"1970-01-01T00:00:00Z",'
        b'"reason":"The counts cannot be read at present."}\n\n'
    )
    assert change_log.snapshot().count(b"event: stale") == 1
    change_log.take(snapshot(at=1000, a=1))
    assert change_log.since(1) == b'event: fresh\nid: run-2\ndata: {"last_updated":"1970-01-01T00:00:01Z"}\n\n'
    assert b"event: stale" not in change_log.snapshot()


@pytest.mark.parametrize("happens", ["snapshot", "missed", "anomaly", "close"])
async def test_whatever_happens_wakes_all_who_wait(happens: str) -> None:
    change_log = a_log(snapshot(a=1))
    waiting = [asyncio.create_task(change_log.wait()) for _ in range(3)]
    await asyncio.sleep(0)

    match happens:
        case "snapshot":
            change_log.take(snapshot(a=1))
        case "missed":
            change_log.missed(stale=False)
        case "anomaly":
            change_log.tell("anomaly", {"a": b"{}"})
        case _:
            change_log.close()

    async with asyncio.timeout(WAIT_SECONDS):
        await asyncio.gather(*waiting)


async def test_nobody_waits_for_a_log_that_is_closed() -> None:
    change_log = a_log()
    change_log.close()

    async with asyncio.timeout(WAIT_SECONDS):
        await change_log.wait()
