from pathlib import Path

import pytest

from core.errors import BadSettings
from core.settings import CampusSettings, CommonSettings, OpsSettings, load, load_or_exit


def test_redis_is_on_a_socket_in_the_data_directory_unless_an_address_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert load(CommonSettings).redis_address == f"unix://{tmp_path}/redis.sock"
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/1")
    assert load(CommonSettings).redis_address == "redis://elsewhere:6379/1"


def test_every_wrong_setting_is_named_with_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_PORT", "many")
    with pytest.raises(BadSettings, match=r"OPS_PORT: .*integer.*\(Their port"):
        load(OpsSettings)


def test_a_time_zone_that_nobody_knows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Europe/Atlantis", "../../etc/passwd"):
        monkeypatch.setenv("CAMPUS_TIMEZONE", name)
        with pytest.raises(BadSettings, match="CAMPUS_TIMEZONE"):
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
