import ast
import json
import logging
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from runtime.logs import configure_logs
from runtime.settings import CommonSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def fail(secret: str, depth: int, words: str = "the end of it") -> None:
    if depth:
        fail(secret, depth - 1)
    raise ValueError(words)


def logged(capsys: pytest.CaptureFixture[str], log_format: str, message: str = "it failed") -> str:
    configure_logs(CommonSettings.model_validate({"log_format": log_format}))
    try:
        fail("52.6738" * 3, 200)
    except ValueError:
        logging.getLogger("of a library").exception(message)
        structlog.stdlib.get_logger("our own").exception(message)
    return capsys.readouterr().out


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_is_plain_short_and_without_locals(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    text = logged(capsys, log_format)
    assert text.count("ValueError: the end of it") == 2
    assert text.count("it failed") == 2
    assert "52.6738" not in text
    assert "╭" not in text
    assert "│" not in text
    # Python names a line that calls itself three times, and then how often more.
    assert text.count("in fail") == 2 * 4
    assert len(text) < 4000
    if log_format == "json":
        assert "in fail" in json.loads(text.splitlines()[0])["exception"]


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_long_traceback_is_cut_in_the_middle(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure_logs(CommonSettings.model_validate({"log_format": log_format}))
    try:
        fail("", 0, "a" * 100_000 + "the end")
    except ValueError:
        structlog.stdlib.get_logger("our own").exception("it failed")
    text = capsys.readouterr().out
    assert "Traceback (most recent call last)" in text
    assert "the end" in text
    assert len(text) < 9000


def test_each_line_of_json_says_which_service_and_which_node_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(CommonSettings(log_format="json"), service="broker", node="node-1")
    logging.getLogger("of a library").warning("one")
    structlog.stdlib.get_logger("our own").info("two")
    structlog.stdlib.get_logger("our own").info("three", node="another")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["service"], line["node"]) for line in lines] == [
        ("broker", "node-1"),
        ("broker", "node-1"),
        ("broker", "another"),
    ]


def test_a_console_does_not_say_it_as_people_know_where_they_look(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(CommonSettings(), service="broker", node="node-1")
    structlog.stdlib.get_logger("our own").info("two")
    assert "node-1" not in capsys.readouterr().out


def test_without_a_name_of_its_own_a_node_is_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVICE_NODE", raising=False)
    assert CommonSettings().service_node == platform.node()
    monkeypatch.setenv("SERVICE_NODE", "api-2")
    assert CommonSettings().service_node == "api-2"


def test_no_command_has_tracebacks_of_its_own() -> None:
    """Typer's own show what local variables hold, too, where rich is installed."""
    missing = []
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] in {".venv", "tests", "bench"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"typer.Typer", "Typer"}:
                enabled = [each.value for each in node.keywords if each.arg == "pretty_exceptions_enable"]
                if [ast.unparse(value) for value in enabled] != ["False"]:
                    missing.append(f"{path}:{node.lineno}")
    assert not missing
