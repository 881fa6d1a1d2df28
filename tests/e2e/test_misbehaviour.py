"""`python -m simulator misbehave` against the whole system: each misbehaviour has its answer."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port
from tests.e2e.system import System, start

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PORTS = ("BROKER_1_OPS_PORT", "BROKER_2_OPS_PORT", "DECODER_OPS_PORT")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    running = start(tmp_path_factory.mktemp("misbehaviour") / "data", **{name: str(free_port()) for name in PORTS})
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def answers(system: System, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the system answered, by what was done."""
    file = tmp_path_factory.mktemp("answers") / "answers.json"
    metrics = [part for name in PORTS for part in ("--metrics", f"http://127.0.0.1:{system.environment[name]}/metrics")]
    done = system.run("simulator", "misbehave", "--api", system.url, *metrics, "--json", str(file))
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    for each in found:
        assert each["what"] in done.stdout
    return {each["what"]: each["answered"] for each in found}


def test_each_misbehaviour_is_there(answers: dict[str, list[str]]) -> None:
    assert list(answers) == ["spoof", "duplicates", "garbage", "storm", "slow", "topics", "foreign-ids"]


def test_impossible_jumps_are_marked_and_what_is_elsewhere_leaves_no_trace(answers: dict[str, list[str]]) -> None:
    assert answers["spoof"] == [
        "30 acknowledged",
        "marked as implausible: 19",
        "outside of the campus, no trace: 10",
        "positions on the campus: 20",
    ]


def test_a_hundred_times_the_same_counts_once(answers: dict[str, list[str]]) -> None:
    acknowledged, counted, *_ = answers["duplicates"]
    assert acknowledged == "100 acknowledged"
    assert re.fullmatch(r"REST counts 1 car more in [a-z-]+", counted)


def test_each_piece_of_garbage_is_a_dead_letter_with_its_reason(answers: dict[str, list[str]]) -> None:
    letters = dict(re.findall(r"dead letters \((\w+)\): (\d+)", "\n".join(answers["garbage"])))
    assert sum(map(int, letters.values())) == 11
    assert letters.keys() >= {
        "bad_coordinates",
        "bad_property",
        "future_timestamp",
        "no_device",
        "not_a_point",
        "not_geojson",
        "not_json",
        "too_large",
        "too_many_features",
    }
    assert "11 acknowledged" in answers["garbage"]
    assert "4 connections closed" in answers["garbage"]


def test_a_storm_of_logins_is_told_to_come_later_and_another_client_is_not(answers: dict[str, list[str]]) -> None:
    let_in, later, another, *_ = answers["storm"]
    # A bucket of 60 that a minute fills: some more come in while it runs.
    assert 60 <= int(let_in.removesuffix(" let in")) < 120
    assert int(later.removesuffix(" told to come later (3)")) > 0
    assert another == "another client id of that user: let in"


def test_who_reads_nothing_is_ended_and_who_publishes_is_not_held_up(answers: dict[str, list[str]]) -> None:
    assert answers["slow"] == [
        "the subscription was granted",
        "400 acknowledged to who published, whose connection is up",
        "the subscriber's connection was ended",
        "refused by the broker (slow_consumer): 1",
    ]


def test_topics_of_others_are_neither_published_to_nor_read(answers: dict[str, list[str]]) -> None:
    assert answers["topics"] == [
        "4 acknowledged, and dropped",
        "0 of 4 subscriptions granted",
        "refused by the broker (publish): 4",
        "refused by the broker (subscribe): 4",
    ]


def test_another_ones_ids_are_of_no_use(answers: dict[str, list[str]]) -> None:
    assert answers["foreign-ids"] == [
        "the login was refused (2)",
        "the connection of whose id it is was kept",
        "10 positions acknowledged",
        "refused by the broker (foreign_client_id): 1",
        "dead letters (wrong_device): 10",
    ]


def test_some_of_it_can_be_done_without_metrics(answers: dict[str, list[str]], system: System, tmp_path: Path) -> None:
    assert answers
    file = tmp_path / "answers.json"
    done = system.run("simulator", "misbehave", "--only", "topics", "--api", system.url, "--json", str(file))
    assert done.returncode == 0, done.stderr
    [topics] = json.loads(file.read_text(encoding="utf-8"))
    assert topics["answered"] == ["4 acknowledged, and dropped", "0 of 4 subscriptions granted"]


def test_what_there_is_not_is_refused_with_a_list(system: System) -> None:
    done = system.run("simulator", "misbehave", "--only", "murder")
    assert done.returncode == 2
    assert "foreign-ids" in done.stderr
