"""Every normative statement that binds a server has a test."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import tests.mqtt
from tests.mqtt.clauses import NOT_TESTED, SERVER, clause

# Appendix B numbers the statements of a section from 1 without a gap.
LAST = {
    "1.5.3": 3, "2.2.2": 2, "2.3.1": 7, "3.1.0": 2, "3.1.2": 24, "3.1.3": 11, "3.1.4": 5, "3.2.0": 1, "3.2.2": 6,
    "3.3.1": 12, "3.3.2": 3, "3.3.4": 1, "3.3.5": 2, "3.6.1": 1, "3.8.1": 1, "3.8.3": 4, "3.8.4": 6, "3.9.3": 2,
    "3.10.1": 1, "3.10.3": 2, "3.10.4": 6, "3.12.4": 1, "3.14.1": 1, "3.14.4": 3, "4.1.0": 2, "4.3.1": 1, "4.3.2": 2,
    "4.3.3": 2, "4.4.0": 1, "4.5.0": 2, "4.6.0": 6, "4.7.1": 3, "4.7.2": 1, "4.7.3": 4, "4.8.0": 2, "6.0.0": 4,
    "7.0.0": 2, "7.1.1": 1, "7.1.2": 1,
}  # fmt: skip


def marks() -> Iterator[pytest.Mark]:
    for module in pkgutil.iter_modules(tests.mqtt.__path__, "tests.mqtt."):
        if module.name.rpartition(".")[2].startswith("test_"):
            for name, value in vars(importlib.import_module(module.name)).items():
                if name.startswith("test_"):
                    yield from getattr(value, "pytestmark", [])


def with_marks_of_parameters() -> Iterator[pytest.Mark]:
    for mark in marks():
        yield mark
        if mark.name == "parametrize":
            for parameters in mark.args[1]:
                yield from getattr(parameters, "marks", ())


def test_every_statement_that_binds_a_server_has_a_test() -> None:
    cited = {
        identifier.removeprefix("MQTT-")
        for mark in with_marks_of_parameters()
        if mark.name == "clause"
        for identifier in mark.args
    }
    assert sorted(SERVER.keys() - cited) == []


def test_the_table_is_complete_and_says_each_statement_once() -> None:
    numbered = {f"{section}-{number}" for section, last in LAST.items() for number in range(1, last + 1)}
    assert SERVER.keys() | NOT_TESTED.keys() == numbered
    assert not SERVER.keys() & NOT_TESTED.keys()


def test_what_is_not_tested_has_its_reason() -> None:
    assert all(re.search(r"client|transport|binds|cannot", reason) for reason in NOT_TESTED.values())


@pytest.mark.parametrize("identifier", ["MQTT-3.1.2-25", "MQTT-2.3.1-2", "3.1.2-24"])
def test_a_statement_that_does_not_bind_a_server_cannot_be_cited(identifier: str) -> None:
    with pytest.raises(ValueError, match="bind a server"):
        clause(identifier)
