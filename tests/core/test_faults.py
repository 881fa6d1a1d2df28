"""Which faults can be made, and what is said of those that cannot."""

from typing import Any

import pytest

from core.faults import Fault, problems_of, version_of


def fault(between: str, kind: str, **values: Any) -> Fault:
    return Fault(between=between, kind=kind, until=60_000, by="key", **values)


@pytest.mark.parametrize(
    "good",
    [
        fault("front>update-schuman/2", "delay", share=0.1, milliseconds=2000),
        fault("front>api", "abort", share=0.05, status=503),
        fault("decoder>redis", "delay", milliseconds=2000),
        fault("api>couchdb", "reset", share=0.5),
        fault("broker>redis", "cut"),
        fault("decoder>influxdb", "status", status=503),
        fault("mirror>mqtt", "bandwidth", kilobytes=1),
    ],
)
def test_a_fault_that_can_be_made_has_no_problems(good: Fault) -> None:
    assert problems_of([good]) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (fault("redis>decoder", "delay", milliseconds=1), "between 'redis>decoder' no fault can be made"),
        (fault("front>Api/2", "delay", milliseconds=1), "between 'front>Api/2' no fault can be made"),
        (fault("front>broker/2", "delay", milliseconds=1), "in front are faults of HTTP alone"),
        (fault("front>api", "cut"), "'cut' cannot be made between front>api: take one of delay, abort"),
        (fault("decoder>redis", "status", status=503), "'status' cannot be made between decoder>redis"),
        (fault("decoder>redis", "explode"), "'explode' cannot be made"),
        (fault("decoder>redis", "delay"), "delay needs milliseconds: take 1 to 30000"),
        (fault("decoder>redis", "delay", milliseconds=30_001), "delay needs milliseconds: take 1 to 30000"),
        (fault("front>api", "abort", status=200), "abort needs status: take one of 500, 502, 503, 504"),
        (fault("api>redis", "bandwidth"), "bandwidth needs kilobytes: take 1 to 100000"),
        (fault("api>redis", "cut", milliseconds=5), "cut has no milliseconds: leave them out"),
        (fault("api>redis", "cut", share=0.5), "cut hits all: leave the share out"),
        (fault("api>redis", "reset", share=0.0), "its share is 0.0: take a number over 0, up to 1"),
        (fault("api>redis", "reset", share=1.5), "its share is 1.5: take a number over 0, up to 1"),
        (fault("api>redis", "reset", share=float("nan")), "its share is nan: take a number over 0, up to 1"),
    ],
)
def test_a_fault_that_cannot_be_made_is_told_why_and_what_can(wrong: Fault, said: str) -> None:
    (problem,) = problems_of([wrong])
    assert said in problem
    assert problem.startswith("fault 1: ")


def test_one_kind_between_two_parts_is_there_once_and_there_are_not_more_than_32() -> None:
    same = fault("api>redis", "cut")
    assert problems_of([same, same]) == [
        "the same kind of fault is there twice between the same two parts: take one of them"
    ]
    many = [fault(f"front>app/{number}", "delay", milliseconds=1) for number in range(33)]
    assert problems_of(many) == ["33 faults are too many: take 32 at the most"]


def test_a_fault_in_front_of_a_version_names_it() -> None:
    assert version_of(fault("front>update-schuman/2", "delay")) == ("update-schuman", "2")
    assert version_of(fault("front>api", "delay")) is None
    assert version_of(fault("api>redis", "delay")) is None
