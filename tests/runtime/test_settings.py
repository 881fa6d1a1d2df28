from pathlib import Path

import pytest

from core.errors import BadSettingsError
from runtime.settings import CampusSettings, CommonSettings, OpsSettings, load, load_or_exit


def test_redis_is_on_a_socket_in_the_data_directory_unless_an_address_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert load(CommonSettings).redis_address == f"unix://{tmp_path}/redis.sock"
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/1")
    assert load(CommonSettings).redis_address == "redis://elsewhere:6379/1"


def test_every_wrong_setting_is_named_with_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_PORT", "many")
    with pytest.raises(BadSettingsError, match=r"OPS_PORT: .*integer.*\(Their port"):
        load(OpsSettings)


def test_a_time_zone_that_nobody_knows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Europe/Atlantis", "../../etc/passwd"):
        monkeypatch.setenv("CAMPUS_TIMEZONE", name)
        with pytest.raises(BadSettingsError, match="CAMPUS_TIMEZONE"):
            load(CampusSettings)


def test_a_wrong_setting_ends_a_service_with_a_message_and_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRESENCE_TTL", "0")
    with pytest.raises(SystemExit) as ended:
        load_or_exit(CampusSettings)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("PRESENCE_TTL: ")


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTITIONS", "")
    assert load(CommonSettings).partitions == 1


def test_a_file_of_secrets_is_the_variable_of_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    # Given and taken back: what the load sets goes away after the test.
    monkeypatch.setenv("REDIS_URL", "")
    (tmp_path / "REDIS_URL").write_text("redis://:secret@redis:6379/0\n")
    (tmp_path / "users.csv").write_text("not a variable")
    assert load(CommonSettings).redis_address == "redis://:secret@redis:6379/0"


def test_a_variable_that_is_set_wins_over_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/0")
    (tmp_path / "REDIS_URL").write_text("redis://redis:6379/0")
    assert load(CommonSettings).redis_address == "redis://elsewhere:6379/0"


def test_a_secret_that_cannot_be_used_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("DEVICE_KEY", "")
    for content in (b"x" * 100_000, b"\xff secret"):
        (tmp_path / "DEVICE_KEY").write_bytes(content)
        with pytest.raises(BadSettingsError, match="DEVICE_KEY") as raised:
            load(CommonSettings)
        assert "xxx" not in str(raised.value)
    (tmp_path / "DEVICE_KEY").unlink()
    (tmp_path / "DEVICE_KEY").mkdir()
    with pytest.raises(BadSettingsError, match="DEVICE_KEY"):
        load(CommonSettings)


def test_a_folder_of_secrets_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    # Root may read any folder: so the answer is given here.
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(BadSettingsError, match=str(tmp_path)):
        load(CommonSettings)
