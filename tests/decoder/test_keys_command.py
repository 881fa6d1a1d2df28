"""`python -m decoder keys`, against a Redis."""

import pytest
from typer.testing import CliRunner

from decoder.__main__ import app

RUN = CliRunner()


def run(*arguments: str) -> tuple[int, str]:
    ended = RUN.invoke(app, ["keys", *arguments])
    return ended.exit_code, ended.output


@pytest.fixture(autouse=True)
def _settings(redis_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS_REDIS_URL", redis_server)
    monkeypatch.setenv("DEVICE_KEY_ROTATION", "week")
    monkeypatch.setattr("decoder.keys_command.system_clock", lambda: 1_796_137_200_000)  # 1 December 2026, 15:00 UTC


@pytest.mark.usefixtures("redis_client")
def test_a_key_that_is_made_by_hand_is_listed_with_its_end_and_without_its_secret() -> None:
    assert run("list") == (0, "")
    assert run("rotate") == (0, "A new key holds from 2026-12-02T00:00:00Z on.\n")
    assert run("list") == (
        0,
        "2026-12-02: 2026-12-02T00:00:00Z to 2026-12-07T00:00:00Z, destroyed 2026-12-16T00:00:00Z\n",
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DEVICE_KEY_ROTATION", "never", "DEVICE_KEY_ROTATION: is never, so there are no keys to rotate"),
        ("DEVICE_KEY_ROTATION", "yearly", "DEVICE_KEY_ROTATION: Input should be"),
        ("KEYS_REDIS_URL", "", "KEYS_REDIS_URL: is not set"),
    ],
)
def test_a_setting_with_which_no_key_can_rotate_is_named(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path_factory.mktemp("data")))
    monkeypatch.setenv(name, value)
    code, output = run("rotate")
    assert code == 2
    assert output.startswith(said)
