"""Where occupancy is kept."""

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from runtime.settings import CommonSettings
from timeseries.keep import Keep, parse_keep

_NEEDED = {
    "influxdb_v2_url": "the address of InfluxDB 2, such as http://localhost:8086",
    "influxdb_v2_org": "the organization that owns the buckets",
    "influxdb_v2_token": "an API token that may read and write buckets",
}


class TimeseriesSettings(CommonSettings):
    """What a process that reads or writes occupancy needs. A service inherits it beside its own."""

    timeseries_store: Literal["sqlite", "influxdb"] = Field(
        default="sqlite", description="sqlite: a file in DATA_DIR; influxdb: InfluxDB 2, by INFLUXDB_V2_*."
    )
    influxdb_v2_url: str = Field(default="", description="Address of InfluxDB 2, such as http://localhost:8086.")
    influxdb_v2_org: str = Field(default="", description="Organization, by name or id.")
    influxdb_v2_token: SecretStr = Field(default=SecretStr(""), description="API token for its buckets.")
    influxdb_bucket_prefix: str = Field(
        default="occupancy",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="The buckets are this with _1m, _5m, _1h, _1d and _results; those of released counts have -released"
        " between.",
    )

    occupancy_keep: str = Field(
        default="",
        description="How long windows are kept, by width: 1m:30d,5m:365d. Of a width that is not named all are kept.",
    )

    @field_validator("occupancy_keep")
    @classmethod
    def _is_kept(cls, text: str) -> str:
        parse_keep(text)
        return text

    @property
    def keep(self) -> Keep:
        """OCCUPANCY_KEEP, in milliseconds by width."""
        return parse_keep(self.occupancy_keep)

    @property
    def released_bucket_prefix(self) -> str:
        """What the buckets of released counts begin with, where it is INFLUXDB_BUCKET_PREFIX for the others."""
        return f"{self.influxdb_bucket_prefix}-released"

    @field_validator("influxdb_v2_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if url and not (urlsplit(url).scheme in {"http", "https"} and urlsplit(url).hostname):
            raise ValueError(f"{url!r} is not an address such as http://localhost:8086")
        return url

    @model_validator(mode="after")
    def _influxdb_is_complete(self) -> Self:
        if self.timeseries_store == "influxdb":
            missing = [f"{name.upper()}: {about}" for name, about in _NEEDED.items() if not _given(self, name)]
            if missing:
                raise ValueError(f"TIMESERIES_STORE=influxdb also needs {'; '.join(missing)}")
        return self


def _given(settings: TimeseriesSettings, name: str) -> bool:
    value = getattr(settings, name)
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)
