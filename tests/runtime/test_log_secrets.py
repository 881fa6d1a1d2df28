"""No secret is in a line of the log, whatever put it there."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from runtime.log_secrets import without_secrets
from runtime.logs import configure_logs
from runtime.settings import CommonSettings

KEY = "ck_0123456789abcdef_Zm9vYmFyYmF6cXV4"


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"refused {KEY}, it has gone", "refused ck_0123456789abcdef_[redacted] it has gone"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ("'authorization': 'Token s3cr3t=='", "'authorization': 'Token [redacted]"),
        ("rediss://campus:h%40nter2@redis:6379/0 is away", "rediss://campus:[redacted]@redis:6379/0 is away"),
        ("redis://:hunter2@redis:6379 is away", "redis://:[redacted]@redis:6379 is away"),
        ("redis://campus:pa/ss@redis:6379 is away", "redis://campus:[redacted]@redis:6379 is away"),
        ("AUTHORIZATION: BEARER abc.def", "AUTHORIZATION: BEARER [redacted]"),
        ("Authorization: Basic YTpi", "Authorization: Basic [redacted]"),
        ("{'authorization': 'Digest abc'}", "{'authorization': 'Digest [redacted]"),
        ("basic Y2FtcHVzOnBhc3N3b3JkMTIz was sent", "basic [redacted] was sent"),
        ("Basic Y2FtOg== was sent", "Basic [redacted] was sent"),
    ],
)
def test_what_looks_like_a_secret_is_not_in_a_text(text: str, left: str) -> None:
    assert without_secrets(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8080/v1/zones?at=2026-11-30T12:00:00Z",
        "unix:///data/redis.sock",
        "mqtt://broker:1883",
        "see https://example.org/a:b/c@d",
        "stage rollup waits",
        "basic authentication was refused",
        "no authorization for that",
        "http://127.0.0.1:8080/a@b",
        "the token was refused"[:9],
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert without_secrets(text) == text


def fail() -> None:
    raise ValueError("redis://campus:hunter9@redis")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_neither_members_nor_texts_nor_tracebacks_have_one(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure_logs(CommonSettings.model_validate({"log_format": log_format}))
    log = structlog.stdlib.get_logger("our own")
    members = {"redis_password": "hunter2", "api_key": "hunter3", "headers": {"X-API-Key": "hunter4", "a": 1}}
    log.info("one", user="ann", **members)
    log.info("two", reason="redis://a:hunter5@b", addresses=["http://a:hunter6@b"], why=ValueError("Bearer hunter7"))
    logging.getLogger("of a library").warning("sent %s", "Bearer hunter8")
    try:
        fail()
    except ValueError:
        log.exception("three")
    text = capsys.readouterr().out
    assert "hunter" not in text
    assert text.count("[redacted]") == 9
    assert "ann" in text
    if log_format == "json":
        first = json.loads(text.splitlines()[0])
        assert {name: first[name] for name in members} == {
            "redis_password": "[redacted]",
            "api_key": "[redacted]",
            "headers": {"X-API-Key": "[redacted]", "a": 1},
        }
