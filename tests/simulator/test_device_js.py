"""The twin of the device in JavaScript: the same vectors, and runs by chance beside the one in Python."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from simulator.outline import metres_between
from tests.conftest import missing
from tests.simulator.device_runs import POLICY, plain, run
from tests.simulator.device_steps import FILE, VECTORS, fact_of, steps_of, told

TWIN = Path(__file__).parents[1] / "node" / "device_twin.mjs"
Question = dict[str, Any]


def answers(questions: Sequence[Question]) -> list[Any]:
    """What device.js says to each, in one process of Node.js."""
    node = shutil.which("node")
    if node is None:
        missing("Node.js", "apt install nodejs")
    done = subprocess.run(
        [node, str(TWIN), str(FILE.with_name("device.js"))],
        input="".join(f"{json.dumps(question)}\n" for question in questions),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def new(policy: dict[str, Any] | None = None, device_id: str = VECTORS["device_id"]) -> Question:
    return {"fact": "device", "device_id": device_id, "topic": VECTORS["topic"], "policy": policy or {}}


@pytest.fixture(scope="module")
def of_vectors() -> dict[str, list[Any]]:
    """What it does in each vector; asked for at once, as a process of Node.js takes a moment to start."""
    asked = {vector["name"]: _questions(vector) for vector in VECTORS["vectors"]}
    said = answers([question for questions in asked.values() for question in questions])
    return {name: [said.pop(0) for _ in questions] for name, questions in asked.items()}


def _questions(vector: dict[str, Any]) -> list[Question]:
    return [new(vector.get("policy")), *(fact_of(fact) for fact, *_ in steps_of(vector))]


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_the_twin_does_what_the_vectors_say(vector: dict[str, Any], of_vectors: dict[str, list[Any]]) -> None:
    said = of_vectors[vector["name"]][1:]

    for (fact, *commands), answer in zip(steps_of(vector), said, strict=True):
        assert [told(command) for command in answer["commands"]] == commands, fact
    for name in ("dropped", "unsent", "inside"):
        if name in vector:
            assert said[-1][name] == vector[name], name


def test_the_twin_writes_messages_as_the_vectors_say() -> None:
    everywhere = {"fact": "outline", "rings": [[[-180, -90], [180, -90], [180, 90], [-180, 90]]], "etag": None}
    for vector in VECTORS["messages"]:
        now = vector["fix"]["at_ms"]
        *_, said = answers(
            [
                new(device_id=vector["device_id"]),
                {**everywhere, "now": now},
                {"fact": "fix", "fix": vector["fix"], "now": now},
                {"fact": "connected", "now": now},
            ]
        )
        assert said["commands"][0]["payload"] == vector["message"]


def test_the_twin_finds_the_outline_in_the_answer_of_the_api() -> None:
    asked = [{"fact": "outline_of", "zones": vector["answer"]} for vector in VECTORS["zones"]]
    assert answers(asked) == [vector["rings"] for vector in VECTORS["zones"]]


def test_what_a_browser_does_not_know_is_left_out_by_the_twin() -> None:
    # JSON has no NaN: null is what it becomes on the way, and what a browser says of an altitude.
    fix = {**VECTORS["messages"][1]["fix"], "altitude": None, "speed": None, "heading": None}
    *_, said = answers(
        [
            new(),
            {"fact": "outline", "rings": VECTORS["outlines"]["square"], "etag": None, "now": fix["at_ms"]},
            {"fact": "fix", "fix": fix, "now": fix["at_ms"]},
            {"fact": "connected", "now": fix["at_ms"]},
        ]
    )
    assert said["commands"][0]["payload"]["geometry"]["coordinates"] == [-8.57, 52.675]
    assert set(said["commands"][0]["payload"]["properties"]) == {"device_id", "timestamp", "accuracy"}


@pytest.mark.parametrize("first_seed", [0, 10, 20, 30])
def test_the_twins_agree_on_runs_by_chance(first_seed: int) -> None:
    questions: list[Question] = []
    expected: list[Any] = []
    for seed in range(first_seed, first_seed + 10):
        questions.append(new(asdict(POLICY)))
        expected.append(None)
        for fact, commands, device in run(seed, 400):
            questions.append(fact)
            expected.append(
                {
                    "commands": [plain(command) for command in commands],
                    "dropped": device.dropped,
                    "unsent": device.unsent,
                    "inside": device.inside,
                }
            )
    said = answers(questions)

    assert len(said) == len(expected) == 4010
    for question, answer, right in zip(questions, said, expected, strict=True):
        if answer is not None:
            answer.pop("sizes")
        assert answer == right, question
    assert sum(len(right["commands"]) for right in expected if right) > 500


@pytest.mark.parametrize("device_id", ["phone-7", "\x01" * 128, "🚗" * 64])
def test_a_message_of_the_twin_has_64_kib_at_the_most_whatever_the_id(device_id: str) -> None:
    start, long = VECTORS["start_ms"], 1.123456789012345e-7
    questions: list[Question] = [
        new({"collection_max": 500}, device_id),
        {"fact": "outline", "rings": [[[-180, -90], [180, -90], [180, 90], [-180, 90]]], "etag": None, "now": start},
    ]
    for number in range(600):
        now = start + number * 61_000
        said = dict.fromkeys(("altitude", "accuracy", "speed", "heading"), 1000 + long)
        questions.append(
            {
                "fact": "fix",
                "fix": {"longitude": -100 - long, "latitude": 50 + long, "at_ms": now + 1, **said},
                "now": now,
            }
        )
    questions += [{"fact": "connected", "now": now}, {"fact": "acknowledged", "packet": 1, "now": now}]
    then = answers(questions)[-1]

    assert len(then["commands"][0]["payload"]["features"]) > 1
    assert then["sizes"][0] <= 65_536


def test_metres_of_the_twin_are_those_of_the_ground() -> None:
    asked = [{"fact": "metres_between", "places": places} for places in ([0, 60, 0, 60.01], [0, 60, 0.01, 60])]
    assert answers(asked) == [pytest.approx(metres_between(0, 60, 0, 60.01)), pytest.approx(555.97, abs=0.01)]
