"""Settings of the API."""

import re

from pydantic import Field, SecretStr, field_validator

from api.tile_template import tile_template
from disclosure.policy import PrivacySettings
from documents import DocumentSettings
from geofence import Finest
from runtime.epochs import WhoIsWho, who_is_who
from runtime.position_rates import RateSettings
from runtime.settings import (
    CampusSettings,
    DeviceSettings,
    FaultSettings,
    OpsSettings,
    Port,
    PositionSettings,
    RetainedSettings,
    RoomSettings,
)
from runtime.tracing import TracingSettings
from state.durability import DurabilitySettings
from state.sealing import SealingSettings
from timeseries import MAX_POINTS, TimeseriesSettings

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+", re.ASCII)
_MIB = 1024 * 1024


class ApiSettings(
    DurabilitySettings,
    DocumentSettings,
    TimeseriesSettings,
    CampusSettings,
    PositionSettings,
    RateSettings,
    RoomSettings,
    DeviceSettings,
    SealingSettings,
    RetainedSettings,
    FaultSettings,
    OpsSettings,
    TracingSettings,
    PrivacySettings,
):
    """Where the API listens, what it reads, who may see what, and how much one client may ask for."""

    api_host: str = Field(default="127.0.0.1", description="Address that the API and the live map listen on.")
    api_port: Port = Field(default=8081, description="Their port.")
    api_trusted_proxies: str = Field(
        default="127.0.0.1,::1",
        description="Addresses or networks of the proxies whose X-Forwarded-For says who the client is, joined by"
        " commas.",
    )
    api_public_occupancy: bool = Field(
        default=True, description="Zones, occupancy, its history and events need no key; false: they need any key."
    )
    privacy_contact: str = Field(
        default="",
        max_length=2000,
        description="Who answers for data protection, as /privacy says it, as plain text: name, how to reach them, and"
        " on which ground they process.",
    )
    privacy_zone_area: float = Field(
        default=400.0,
        ge=0,
        le=1_000_000,
        description="Square metres that a zone has on the campus at the least, and that two zones differ by, where"
        " somebody draws one through the API; not under PRIVACY=open.",
    )
    privacy_zone_depth: int = Field(
        default=1,
        ge=1,
        le=10,
        description="How many zones may hold one place, beside the campus, likewise.",
    )
    flows_min_devices: int = Field(
        default=5,
        ge=2,
        le=1000,
        description="Flows and visits of fewer devices are withheld, of every kind; the greater of this and"
        " PRIVACY_MIN_COUNT holds.",
    )
    cors_origins: str = Field(
        default="",
        description="Origins whose pages may read the answers, joined by commas, such as https://map.example.org; * is"
        " every one.",
    )
    api_max_body: int = Field(default=_MIB, ge=1024, le=64 * _MIB, description="Bytes that a request's body may have.")
    api_rate_limit: float = Field(
        default=50.0,
        ge=0,
        le=1_000_000,
        description="Requests a second that one client may make, of all processes together; a client is a key or,"
        " without one, an address. 0: no limit.",
    )
    api_rate_burst: int = Field(
        default=200, ge=1, le=1_000_000, description="Requests that a client may make at once, after it was silent."
    )
    occupancy_ttl: int = Field(
        default=1, ge=0, le=3600, description="Seconds for which an answer about now stays good (GBFS ttl)."
    )
    history_max_points: int = Field(
        default=10_000, ge=1, le=MAX_POINTS, description="Windows that one answer about history may hold."
    )
    raw_max_length: int = Field(
        default=1_000_000,
        ge=1000,
        description="Messages that may wait for a decoder; at more, positions sent over HTTP are refused with 503. The"
        " same as the brokers' setting.",
    )
    tile_url: str = Field(
        default="",
        description="Address of street tiles under the live map, with {z}, {x} and {y}; unset: the map has none.",
    )
    tile_attribution: str = Field(default="", max_length=500, description="Who made the tiles, as plain text.")
    events_max_streams: int = Field(
        default=2000, ge=1, le=100_000, description="Streams of events that may be open in this process."
    )
    events_address_share: float = Field(
        default=0.75,
        gt=0,
        le=1,
        description="Share of EVENTS_MAX_STREAMS that one address (a /64 where it is IPv6) may have open; 1: all.",
    )
    events_heartbeat: float = Field(
        default=15.0, ge=0.05, le=300, description="Seconds of silence after which an event stream gets a comment."
    )
    mirror: bool = Field(
        default=False, description="Publish occupancy and zones as retained MQTT messages; one process at a time does."
    )
    mirror_url: str = Field(
        default="mqtt://127.0.0.1:1883", description="The broker that the mirror is on: mqtt://host:port."
    )
    mirror_username: str = Field(default="", description="MQTT user of the mirror, with the role service.")
    mirror_password: SecretStr | None = Field(default=None, description="Its password.")
    mirror_max_payload: int = Field(
        default=65_536, ge=1024, description="Bytes that the broker takes as one message, its MQTT_MAX_PAYLOAD."
    )

    @property
    def who_is_who(self) -> WhoIsWho:
        """DEVICE_KEY_ROTATION and DEVICE_SOURCE."""
        return who_is_who(self, is_open=self.policy.is_open)

    @field_validator("cors_origins")
    @classmethod
    def _known_origins(cls, text: str) -> str:
        origins = _split(text)
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is not an origin: scheme, host and port alone, or *")
        return ",".join(origins)

    @field_validator("tile_url")
    @classmethod
    def _known_tiles(cls, text: str) -> str:
        return tile_template(text)

    @property
    def finest_zones(self) -> Finest:
        """How finely zones may be drawn where counts are not told as they are."""
        return Finest(self.privacy_zone_area, self.privacy_zone_depth)

    @property
    def origins(self) -> list[str]:
        """CORS_ORIGINS one by one."""
        return _split(self.cors_origins)

    @property
    def trusted_proxies(self) -> list[str]:
        """API_TRUSTED_PROXIES one by one."""
        return _split(self.api_trusted_proxies)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
