"""Who gets which version of an application."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.versions import (
    Owned,
    Route,
    bucket_of,
    changed,
    first_route,
    moved,
    problems_of,
    public_name,
    shares_with,
    wire_name,
)

ROLES = ("car", "mobile", "gateway")
HEALTHY = {"1": True, "2": True, "3": True}


@st.composite
def shares(draw: st.DrawFn) -> dict[str, int]:
    """Percents of up to five versions."""
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=0, max_size=4)))
    return {
        str(number): end - start for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, 100], strict=True), 1)
    }


def by_bucket(route: Route) -> list[str]:
    return [route.owner_of(bucket) for bucket in range(10_000)]


@pytest.mark.parametrize(
    ("app", "person", "bucket"),
    [("update-schuman", "ann", 7996), ("update-schuman", "bob", 150), ("api", "ann", 2377), ("api", "Ána", 3596)],
)
def test_a_bucket_follows_from_the_first_32_bits_of_sha_1_of_app_and_person(app: str, person: str, bucket: int) -> None:
    assert bucket_of(app, person) == bucket


def test_of_a_thousand_persons_a_fifth_gets_the_version_that_has_20_percent() -> None:
    route = changed(first_route("update-schuman", "1"), shares={"1": 80, "2": 20})

    versions = [route.version_for(f"user-{number}") for number in range(1000)]

    assert versions.count("2") == 182


@given(st.lists(shares(), min_size=1, max_size=5))
def test_a_change_moves_nobody_but_those_who_must_go(changes: list[dict[str, int]]) -> None:
    route = first_route("a", "1")
    for each in changes:
        before = by_bucket(route)
        route = changed(route, shares=each)
        after = by_bucket(route)
        assert {version: after.count(version) for version in each} == {v: share * 100 for v, share in each.items()}
        gains = sum(max(after.count(version) - before.count(version), 0) for version in each)
        assert sum(one != other for one, other in zip(before, after, strict=True)) == gains
        assert problems_of(route, healthy=dict.fromkeys("12345", True), roles=ROLES) == []


def test_whoever_had_the_new_version_at_20_percent_has_it_at_50() -> None:
    fifth = changed(first_route("a", "1"), shares={"1": 80, "2": 20})
    half = changed(fifth, shares={"1": 50, "2": 50})

    assert {bucket for bucket, version in enumerate(by_bucket(fifth)) if version == "2"} <= {
        bucket for bucket, version in enumerate(by_bucket(half)) if version == "2"
    }
    assert half.number == 3


def test_neighbouring_buckets_of_one_version_are_one_range() -> None:
    assert moved((Owned(0, 10_000, "1"),), {"1": 80, "2": 20}) == (Owned(0, 8000, "1"), Owned(8000, 10_000, "2"))
    assert moved((Owned(0, 8000, "1"), Owned(8000, 10_000, "2")), {"1": 100}) == (Owned(0, 10_000, "1"),)


def test_a_user_is_chosen_before_a_header_a_header_before_a_role_and_a_role_before_the_bucket() -> None:
    route = changed(
        first_route("a", "1"),
        shares={"1": 100, "2": 0},
        users={"ann": "2"},
        roles={"gateway": "3"},
        headers={"X-Campus-Group": {"testers": "4"}},
    )
    testers = {"X-Campus-Group": "testers"}

    assert route.version_for("ann", role="gateway", headers=testers) == "2"
    assert route.version_for("bob", role="gateway", headers=testers) == "4"
    assert route.version_for("bob", role="gateway", headers={"X-Campus-Group": "others"}) == "3"
    assert route.version_for("bob", role="mobile") == "1"
    assert route.versions == {"1", "2", "3", "4"}


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"shares": {"1": 80, "2": 30}}, "the shares add up to 110: they have to add up to 100"),
        ({"shares": {"1": 100, "2": 100, "3": -100}}, "the share of '3' is -100: take a whole number from 0 to 100"),
        (
            {"shares": {"1": 50, "7": 50}},
            "nobody has seen version '7' of update-schuman: start it first (seen: 1, 2, 3, old)",
        ),
        (
            {"shares": {"1": 90, "old": 10}},
            "no instance of update-schuman old is healthy: start one, or ask with force=true",
        ),
        ({"shares": {"1": 100}, "roles": {"king": "2"}}, "'king' is no role: take one of car, gateway, mobile"),
        (
            {"shares": {"1": 100}, "headers": {"Cookie": {"a": "2"}}},
            "'Cookie' is no header to choose by: take X-Campus-Version or X-Campus-Group",
        ),
        (
            {"shares": {"1": 100}, "headers": {"X-Campus-Group": {"a b": "2"}}},
            "'a b' is no value of a header to choose by: take 1 to 64 letters, digits, dots, underscores and hyphens",
        ),
        (
            {"shares": {"1": 100}, "users": {"a|b": "2"}},
            "'a|b' is no name of a user: take 1 to 128 printed characters without spaces and '|'",
        ),
        (
            {"shares": {"1": 100, "Two": 0}},
            "'Two' is no name of a version: take up to 32 small letters, digits, dots and hyphens",
        ),
    ],
)
def test_each_problem_of_a_rule_is_a_sentence_that_says_what_to_do(parts: dict[str, Any], sentence: str) -> None:
    route = first_route("update-schuman", "1")
    wrong = Route(**{"app": route.app, "number": 2, "owned": route.owned, **parts})

    assert problems_of(wrong, healthy={**HEALTHY, "old": False}, roles=ROLES) == [sentence]


def test_a_version_without_a_healthy_instance_is_taken_if_that_is_forced() -> None:
    route = changed(first_route("a", "1"), shares={"1": 50, "2": 50})

    assert problems_of(route, healthy={"1": True, "2": False}, roles=ROLES, force=True) == []


def test_a_broker_is_not_chosen_by_role() -> None:
    route = changed(first_route("broker", "1"), shares={"1": 100}, roles={"car": "2"})

    (problem,) = problems_of(route, healthy=HEALTHY, roles=ROLES)
    assert problem.startswith("a broker cannot be chosen by role or header, for a node is chosen before a client")


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("app-versions/update-schuman/2/latest", ("apps/update-schuman/latest", "update-schuman", "2")),
        ("app-versions/a/2.1-rc/b/c", ("apps/a/b/c", "a", "2.1-rc")),
        ("app-versions/a/2", None),
        ("app-versions/a/2/", None),
        ("app-versions/A/2/x", None),
        ("app-versions//2/x", None),
        ("apps/a/2/x", None),
        ("car-iotp", None),
    ],
)
def test_what_people_see_of_a_topic_of_a_version(topic: str, name: tuple[str, str, str] | None) -> None:
    assert public_name(topic) == name
    if name is not None:
        assert wire_name(name[0], name[2]) == topic


@pytest.mark.parametrize(
    ("before", "share", "after"),
    [
        ({"1": 100}, 5, {"1": 95, "2": 5}),
        ({"1": 100, "2": 0}, 100, {"1": 0, "2": 100}),
        ({"1": 60, "3": 40}, 20, {"1": 48, "3": 32, "2": 20}),
        ({"1": 33, "3": 33, "4": 34}, 50, {"1": 17, "3": 16, "4": 17, "2": 50}),
    ],
)
def test_the_others_keep_their_proportions_when_a_version_gets_a_share(
    before: dict[str, int], share: int, after: dict[str, int]
) -> None:
    assert shares_with(before, "2", share) == after


def test_a_version_that_has_all_has_nobody_to_take_a_share_from() -> None:
    with pytest.raises(ValueError, match="nobody but 2 has a share"):
        shares_with({"1": 0, "2": 100}, "2", 50)


@pytest.mark.parametrize("shares", [{}, {"1": 50}, {"1": 150, "2": -50}, {"1": 10**30}])
def test_with_shares_that_cannot_be_the_buckets_stay_and_the_problem_is_told(shares: dict[str, int]) -> None:
    route = changed(first_route("app", "1"), shares=shares)
    assert route.owned == (Owned(0, 10_000, "1"),)
    assert "share" in problems_of(route, healthy=HEALTHY, roles=ROLES)[0]
