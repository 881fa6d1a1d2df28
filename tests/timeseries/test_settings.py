"""Settings of the time-series store, and the store they choose."""

from pathlib import Path

import pytest

from core.errors import BadSettingsError
from core.kinds import KindId
from runtime.settings import load
from timeseries import OccupancyPoint, TimeseriesSettings, Width, Window, open_store
from timeseries.influx import InfluxOccupancyStore
from timeseries.sqlite import SqliteOccupancyStore

INFLUX = {
    "TIMESERIES_STORE": "influxdb",
    "INFLUXDB_V2_URL": "http://localhost:8086",
    "INFLUXDB_V2_ORG": "campus",
    "INFLUXDB_V2_TOKEN": "very-secret",
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*INFLUX, "INFLUXDB_BUCKET_PREFIX", "OCCUPANCY_KEEP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))


async def test_without_settings_it_is_a_file_in_the_data_directory(tmp_path: Path) -> None:
    async with open_store(load(TimeseriesSettings)) as store:
        assert isinstance(store, SqliteOccupancyStore)
        await store.setup()
    assert (tmp_path / "timeseries.sqlite3").exists()


async def test_released_counts_are_in_a_file_of_their_own(tmp_path: Path) -> None:
    point = OccupancyPoint(Window(Width.HOUR, 1_550_480_400_000, "library", KindId("car")), 130)
    async with open_store(load(TimeseriesSettings), released=True) as store:
        await store.setup()
        await store.write([point])
    assert (tmp_path / "released.sqlite3").exists()
    assert not (tmp_path / "timeseries.sqlite3").exists()
    async with open_store(load(TimeseriesSettings)) as store:
        await store.setup()
        assert await store.series(Width.HOUR) == []


async def test_influxdb_is_chosen_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in INFLUX.items():
        monkeypatch.setenv(name, value)
    async with open_store(load(TimeseriesSettings)) as store:
        assert isinstance(store, InfluxOccupancyStore)


def test_each_variable_that_influxdb_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMESERIES_STORE", "influxdb")
    monkeypatch.setenv("INFLUXDB_V2_TOKEN", "very-secret")
    with pytest.raises(BadSettingsError) as refusal:
        load(TimeseriesSettings)
    assert "INFLUXDB_V2_URL" in str(refusal.value)
    assert "INFLUXDB_V2_ORG" in str(refusal.value)
    assert "INFLUXDB_V2_TOKEN" not in str(refusal.value)


def test_the_token_is_in_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in INFLUX.items():
        monkeypatch.setenv(name, value)
    assert "very-secret" not in repr(load(TimeseriesSettings))
    monkeypatch.setenv("INFLUXDB_V2_ORG", "")
    with pytest.raises(BadSettingsError) as refusal:
        load(TimeseriesSettings)
    assert "very-secret" not in f"{refusal.value!r} {refusal.value.__cause__}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIMESERIES_STORE", "postgres"),
        ("INFLUXDB_V2_URL", "localhost:8086"),
        ("INFLUXDB_V2_URL", "file:///etc/passwd"),
        ("INFLUXDB_V2_URL", "http://"),
        ("INFLUXDB_BUCKET_PREFIX", "_internal"),
        ("INFLUXDB_BUCKET_PREFIX", 'a"b'),
        ("OCCUPANCY_KEEP", "90d"),
        ("OCCUPANCY_KEEP", "1m:90"),
        ("OCCUPANCY_KEEP", "1m:1d"),
        ("OCCUPANCY_KEEP", "1m:36501d"),
        ("OCCUPANCY_KEEP", "7m:90d"),
        ("OCCUPANCY_KEEP", "1m:7d,1m:8d"),
        ("OCCUPANCY_KEEP", "1m:7d 5m:90d"),
    ],
)
def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettingsError, match=name):
        load(TimeseriesSettings)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("", {}),
        ("1m:7d", {Width.MINUTE: 7}),
        (
            "1m:30d, 5m:365d,1h:2d,1d:36500d,",
            {Width.MINUTE: 30, Width.FIVE_MINUTES: 365, Width.HOUR: 2, Width.DAY: 36_500},
        ),
    ],
)
def test_how_long_windows_are_kept_is_said_by_width(
    monkeypatch: pytest.MonkeyPatch, text: str, days: dict[Width, int]
) -> None:
    monkeypatch.setenv("OCCUPANCY_KEEP", text)
    assert load(TimeseriesSettings).keep == {width: count * 86_400_000 for width, count in days.items()}
