import stat
from pathlib import Path

import pytest

from core.errors import BadSettingsError
from decoder.devices import DeviceHasher, device_key
from tests.kinds_of_tests import CAR, MOBILE


def test_a_device_has_one_hash_for_one_key_and_another_for_another() -> None:
    one, two = DeviceHasher(b"1" * 32), DeviceHasher(b"2" * 32)
    assert one.hash(CAR, "bus") == one.hash(CAR, "bus")
    assert one.hash(CAR, "bus") != two.hash(CAR, "bus")
    assert len(one.hash(CAR, "bus")) == 32


def test_the_hashes_of_cars_and_phones_stay_what_they_are() -> None:
    """They are in documents: with others, a device that is known would be another one."""
    hasher = DeviceHasher(bytes(range(32)))
    assert hasher.hash(CAR, "bus-304") == "e23e404dbf2e3217d0d9577accfe9312"
    assert hasher.hash(MOBILE, "bus-304") == "79b0fa9058d8da0942b1d93d49e45090"
    assert hasher.away("e23e404dbf2e3217d0d9577accfe9312") == "0ae382ac57b57c51"


def test_a_car_and_a_phone_of_the_same_name_are_two_devices() -> None:
    hasher = DeviceHasher(b"1" * 32)
    assert hasher.hash(CAR, "7") != hasher.hash(MOBILE, "7")


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "device.key"
    key = device_key(None, path)
    assert device_key(None, path) == key
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["device.key"]


def test_a_configured_key_is_used_and_none_is_kept(tmp_path: Path) -> None:
    assert device_key("ab" * 32, tmp_path / "device.key") == b"\xab" * 32
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", ["xyz", "ab"])
def test_a_key_that_cannot_work_is_named(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettingsError, match="DEVICE_KEY"):
        DeviceHasher(device_key(wrong, tmp_path / "device.key"))


def test_a_place_where_no_key_can_be_kept_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadSettingsError, match="DATA_DIR"):
        device_key(None, tmp_path / "file" / "device.key")
