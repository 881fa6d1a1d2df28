"""The truth beside a crowd: visits by where devices were."""

import base64
import gzip
import json
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kinds import KindId
from geofence import Geofence
from simulator.campus.fenced import History
from simulator.campus.truth import About, BadTruthError, Visit, read_truth, visits, write_truth
from simulator.device import Connect, Device, FetchOutline, Publish
from simulator.outline import outline_of
from tests.simulator.campuses import BUILDINGS, DAY, HOUR, LOTS, TUESDAY, campus, crowd

ON = campus(*BUILDINGS, *LOTS)
ABOUT = About(schema=1, start=TUESDAY, end=TUESDAY + DAY, devices=60, seed=7)
VISIT = Visit(device="mobile-7-00001", kind=KindId("mobile"), zone="aula", start=TUESDAY + HOUR, end=TUESDAY + 2 * HOUR)


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def true_visits(start_ms: int = TUESDAY, end_ms: int = TUESDAY + DAY) -> list[Visit]:
    return list(visits(crowd(ON), Geofence(ON), start_ms, end_ms))


def test_a_visit_says_where_the_device_was_and_not_what_its_receiver_said() -> None:
    found = true_visits()
    people = crowd(ON)
    fence = Geofence(ON)
    day = next(iter(people.days(TUESDAY + 12 * HOUR + DAY, None)))
    looked = 0
    for person in people.people:
        for unit, way in people.ways(person, day):
            own = [visit for visit in found if visit.device == unit.id]
            for at_ms in range(TUESDAY + 8 * HOUR, TUESDAY + 20 * HOUR, 17 * 60_000):
                if not way.at_ms[0] <= at_ms < way.at_ms[-1]:
                    continue
                longitude, latitude = people.plane.degrees(way.place_at(at_ms))
                (held,) = fence.locate(np.array([longitude]), np.array([latitude]))
                near = {visit.zone for visit in own if visit.start - 1000 <= at_ms < visit.end + 1000}
                sure = {visit.zone for visit in own if visit.start + 1000 <= at_ms < visit.end - 1000}
                assert sure <= set(held or ()) <= near
                looked += 1
    assert looked > 500


def test_a_device_is_in_one_zone_once_at_a_time_and_on_the_campus_whenever_it_is_in_a_zone() -> None:
    found = true_visits()
    for device in {visit.device for visit in found}:
        own = [visit for visit in found if visit.device == device]
        on_campus = [visit for visit in own if visit.zone == "campus"]
        for zone in {visit.zone for visit in own}:
            times = sorted((visit.start, visit.end) for visit in own if visit.zone == zone)
            assert all(one[1] < other[0] for one, other in pairwise(times))
        for visit in own:
            assert visit.start < visit.end
            assert any(whole.start <= visit.start and visit.end <= whole.end for whole in on_campus)


def test_visits_are_cut_to_the_range_and_those_of_two_halves_are_those_of_the_whole() -> None:
    noon = TUESDAY + 12 * HOUR
    morning, afternoon, whole = true_visits(TUESDAY, noon), true_visits(noon), true_visits()
    assert all(TUESDAY <= visit.start < visit.end <= noon for visit in morning)
    assert all(noon <= visit.start < visit.end <= TUESDAY + DAY for visit in afternoon)
    assert sum(visit.end - visit.start for visit in morning + afternoon) == sum(
        visit.end - visit.start for visit in whole
    )


def test_a_file_of_truth_is_read_as_it_was_written_and_is_the_same_at_every_run(tmp_path: Path) -> None:
    one, other = tmp_path / "one.gz", tmp_path / "other.gz"
    assert write_truth(one, ABOUT, [VISIT]) == 1
    write_truth(other, ABOUT, [VISIT])
    assert read_truth(one) == (ABOUT, [VISIT])
    assert one.read_bytes() == other.read_bytes()
    assert [json.loads(line) for line in gzip.decompress(one.read_bytes()).splitlines()] == [
        {"schema": 1, "start": 1_795_478_400_000, "end": 1_795_564_800_000, "devices": 60, "seed": 7},
        {
            "device": "mobile-7-00001",
            "kind": "mobile",
            "zone": "aula",
            "start": 1_795_482_000_000,
            "end": 1_795_485_600_000,
        },
    ]


def test_a_shifted_truth_has_all_times_moved(tmp_path: Path) -> None:
    file = tmp_path / "truth.gz"
    write_truth(file, ABOUT, [VISIT], shift_ms=5000)
    about, (visit,) = read_truth(file)
    assert (about.start, about.end) == (1_795_478_405_000, 1_795_564_805_000)
    assert (visit.start, visit.end) == (1_795_482_005_000, 1_795_485_605_000)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"plain", "gzip"),
        (packed(b""), "after 0 visits"),
        (packed(b"[]\n"), "after 0 visits"),
        (packed(b'{"schema":2,"start":0,"end":1,"devices":1,"seed":1}\n'), "version 2"),
        (packed(b'{"schema":1,"start":0,"end":1,"devices":1,"seed":1}\n{"device":"a"}\n'), "after 0 visits"),
        (packed(b'{"schema":1,"start":0,"end":1,"devices":1,"seed":1}\n') + b"more", "truth.gz"),
        (packed(b'{"schema":1,"start":0,"end":1,"devices":1,"seed":1}\n')[:-9], "truth.gz"),
    ],
)
def test_a_file_without_truth_is_said_in_one_sentence(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "truth.gz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadTruthError, match=said):
        read_truth(file)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_a_truth_or_a_sentence(bytes_: bytes, more: bytes) -> None:
    head = b'{"schema":1,"start":0,"end":1,"devices":1,"seed":1}\n'
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "truth.gz"
        whole = packed(head + more)
        for content in (bytes_, whole, whole[:30] + bytes_ + whole[30:]):
            file.write_bytes(content)
            try:
                about, found = read_truth(file)
            except BadTruthError as error:
                assert str(error).startswith(str(file))  # noqa: PT017 - either is right
            else:
                assert about.schema == 1
                assert all(isinstance(visit, Visit) for visit in found)


def test_history_is_what_devices_send_that_never_lose_their_connection() -> None:
    rings = outline_of(ON.as_feature_collection())
    devices: dict[str, Device] = {}
    sent = set()
    for moment in crowd(ON).moments(TUESDAY, TUESDAY + 14 * HOUR, by_their_clocks=True):
        now = moment.by_its_clock_ms
        if moment.unit.id not in devices:
            devices[moment.unit.id] = Device(moment.unit.id, moment.unit.kind.topic)
            devices[moment.unit.id].outline(rings, None, now)
        device = devices[moment.unit.id]
        waiting = device.fix(moment.fix, now)
        while waiting:
            match waiting.pop(0):
                case Connect():
                    waiting += device.connected(now)
                case Publish(packet, _, payload):
                    message = json.loads(base64.b64decode(payload))
                    assert message["type"] == "Feature"
                    sent.add((moment.unit.id, now, tuple(message["geometry"]["coordinates"])))
                    waiting += device.acknowledged(packet, now)
                case FetchOutline():
                    waiting += device.outline(rings, None, now)
                case _:
                    pass
    said = {
        (line.device, line.at, (line.longitude, line.latitude))
        for line in History(Geofence(ON)).fenced(crowd(ON).moments(TUESDAY, TUESDAY + 14 * HOUR, by_their_clocks=True))
    }
    assert said == sent
    assert len(said) > 5000
