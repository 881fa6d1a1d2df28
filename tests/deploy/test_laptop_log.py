"""The log of `make run` with LOG_FORMAT=json: each line is an object, whoever has said it."""

import json
from datetime import datetime

import pytest

from deploy.laptop.log import log_of


def written(capsys: pytest.CaptureFixture[str], name: str, line: str) -> dict[str, object]:
    log_of("json", ["campus", "redis"]).write(name, line)
    (text,) = capsys.readouterr().out.splitlines()
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def test_a_line_that_is_an_object_passes_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    log_of("json", ["campus"]).write("broker-1", '{"event": "joined the cluster", "node":"broker-1"}')
    assert capsys.readouterr().out == '{"event": "joined the cluster", "node":"broker-1"}\n'


@pytest.mark.parametrize(
    "line", ["1:M 30 Nov 2026 Ready to accept connections", "{", '{"a": 1', "[1]", '"a"', "12", "", "{} and more"]
)
def test_any_other_line_becomes_one(capsys: pytest.CaptureFixture[str], line: str) -> None:
    found = written(capsys, "redis", line)
    assert datetime.fromisoformat(str(found.pop("timestamp"))).tzinfo is not None
    assert found == {"level": "info", "service": "redis", "node": "redis", "logger": "redis", "event": line}


def test_such_a_line_has_no_secret_either(capsys: pytest.CaptureFixture[str]) -> None:
    assert written(capsys, "redis", "redis://a:hunter2@b")["event"] == "redis://a:[redacted]@b"


def test_people_get_lines_with_the_time_and_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    log_of("console", ["campus", "redis"]).write("redis", "ready")
    assert capsys.readouterr().out.endswith(" redis  | ready\n")
