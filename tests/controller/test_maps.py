"""What stands in HAProxy's maps."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import maps
from controller.maps import Person
from core.faults import Fault
from core.versions import BUCKETS, Route, bucket_of, changed, first_route

APP = "update-schuman"
PLACES = {f"{APP}/1": 2, f"{APP}/2": 3}
SLOTS = {APP: 3}
ROUTE = changed(
    first_route(APP, "1"),
    shares={"1": 80, "2": 20},
    users={"bert": "2", "ann": "1"},
    roles={"mobile": "2"},
    headers={"X-Campus-Version": {"2": "2"}, "X-Campus-Group": {"testers": "2"}},
)
HASH = "ab" * 32


def test_an_application_has_its_slot() -> None:
    assert maps.apps({"b": 2, "a": 1}) == ["a 1", "b 2"]


def test_buckets_are_ranges_in_the_slot_of_their_application() -> None:
    assert maps.shares({APP: ROUTE}, SLOTS, PLACES) == ["30000:37999 place-02/1", "38000:39999 place-03/2"]


def test_a_version_without_a_place_and_an_application_without_a_slot_have_no_lines() -> None:
    assert maps.shares({APP: ROUTE}, SLOTS, {f"{APP}/1": 2}) == ["30000:37999 place-02/1"]
    assert maps.shares({APP: ROUTE}, {}, PLACES) == []


def test_the_next_api_and_broker_are_their_own_backends() -> None:
    api = changed(first_route("api", "0.2.0"), shares={"0.2.0": 95, "next": 5})
    places = {"api/0.2.0": 17, "api/next": 18}
    assert maps.shares({"api": api}, {"api": 1}, places) == ["10000:19499 api/0.2.0", "19500:19999 api-next/next"]


@given(st.lists(st.integers(0, 100), min_size=1, max_size=8), st.text(min_size=1, max_size=20))
def test_whoever_asks_finds_in_the_map_what_the_rule_says(steps: list[int], person: str) -> None:
    route: Route = first_route(APP, "1")
    for step in steps:
        route = changed(route, shares={"1": 100 - step, "2": step})
    found = {}
    for line in maps.shares({APP: route}, SLOTS, PLACES):
        keys, _, target = line.partition(" ")
        first, _, last = keys.partition(":")
        for key in range(int(first), int(last or first) + 1):
            assert key not in found
            found[key] = target.rpartition("/")[2]
    assert len(found) == BUCKETS
    assert found[30_000 + bucket_of(APP, person)] == route.version_for(person)


def test_users_are_named_one_by_one_and_roles_and_headers_as_groups() -> None:
    assert maps.forced({APP: ROUTE}, PLACES) == [f"{APP}/ann place-02/1", f"{APP}/bert place-03/2"]
    assert maps.groups({APP: ROUTE}, PLACES) == [
        f"{APP}/role=mobile place-03/2",
        f"{APP}/X-Campus-Group=testers place-03/2",
        f"{APP}/X-Campus-Version=2 place-03/2",
    ]


@pytest.mark.parametrize(
    ("person", "line"),
    [
        (Person("0123456789abcdef", HASH, "ann", "mobile"), "ann|mobile"),
        (Person("0123456789abcdef", HASH, "Änne B", ""), "Änne B|"),
        (Person("0123456789abcdef", HASH), "key:0123456789abcdef|"),
        (Person("0123456789abcdef", HASH, "ann|admin", "mobile"), "key:0123456789abcdef|"),
        (Person("0123456789abcdef", HASH, "ann\nevil", "mobile"), "key:0123456789abcdef|"),
        (Person("0123456789abcdef", HASH, "ann", "x\n\nclear map #1"), "ann|"),
    ],
    ids=["with a role", "no MQTT user", "nobody's", "a bar in it", "a line's end in it", "a line's end in the role"],
)
def test_a_key_stands_for_its_user_and_one_that_is_nobodys_for_itself(person: Person, line: str) -> None:
    assert maps.persons([person]) == [f"{'AB' * 32} {line}"]


def fault(between: str, until: int, milliseconds: int) -> Fault:
    return Fault(between=between, kind="delay", share=0.25, milliseconds=milliseconds, until=until, by="key")


def test_a_fault_has_its_end_its_share_and_what_it_does() -> None:
    delay = fault(f"front>{APP}/2", 1_700_000_000_000, 300)
    abort = Fault(between=f"front>{APP}/1", kind="abort", status=503, until=1_700_000_000_000, by="key")
    assert maps.faults([delay, abort], PLACES) == [
        "place-02/abort 1700000000000:10000:503",
        "place-03/delay 1700000000000:2500:300",
    ]


def test_of_two_of_a_kind_the_one_that_lasts_longer_holds() -> None:
    present = [fault(f"front>{APP}/2", 1_700_000_060_000, 500), fault(f"front>{APP}/2", 1_700_000_000_000, 300)]
    assert maps.faults(present, PLACES) == ["place-03/delay 1700000060000:2500:500"]


def test_a_fault_of_the_api_needs_no_rule_and_strikes_all_its_versions() -> None:
    assert maps.faults([fault("front>api", 1_700_000_000_000, 300)], {}) == ["api/delay 1700000000000:2500:300"]
    assert maps.faults([fault("front>api", 1_700_000_000_000, 300)], {"api/next": 18}) == [
        "api-next/delay 1700000000000:2500:300",
        "api/delay 1700000000000:2500:300",
    ]


def test_a_fault_behind_the_front_and_one_of_a_version_without_a_place_are_not_haproxys() -> None:
    present = [fault("decoder>redis", 1_700_000_000_000, 300), fault("front>other/1", 1_700_000_000_000, 300)]
    assert maps.faults(present, PLACES) == []


def test_a_map_is_replaced_whole_and_nobody_but_its_group_may_read_it(tmp_path: Path) -> None:
    maps.write(tmp_path, "persons", ["one"])
    # Left by one that was killed.
    (tmp_path / "persons.new").write_text("half")
    maps.write(tmp_path, "persons", ["a 1", "b 2"])

    path = tmp_path / "persons.map"
    assert path.read_text() == "a 1\nb 2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert [each.name for each in tmp_path.iterdir()] == ["persons.map"]
