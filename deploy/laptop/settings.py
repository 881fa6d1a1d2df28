"""Settings of a run on a laptop. All other settings reach the services through the environment, untouched."""

from ipaddress import IPv4Address, IPv6Address

from pydantic import Field

from deploy.laptop.redis_server import KEYS_FOLDER
from disclosure.policy import PrivacySettings
from runtime.settings import KeysSettings, Port


class LaptopSettings(KeysSettings, PrivacySettings):
    """Where the system can be reached, and where its parts reach each other."""

    mqtt_port: Port = Field(default=1883, description="Public port of MQTT.")
    http_port: Port = Field(default=8080, description="Public port of the API and the live map.")
    bind_address: IPv4Address | IPv6Address = Field(
        default=IPv4Address("127.0.0.1"), description="Address of the public ports; 0.0.0.0 opens them to the network."
    )
    mqtt_allow_anonymous: bool = Field(default=True, description="Let MQTT clients in without a user.")
    api_public_occupancy: bool = Field(default=True, description="Occupancy needs no key; false: no mirror either.")
    haproxy_maxconn: int = Field(default=4000, ge=10, le=1_000_000, description="Connections that HAProxy takes.")
    broker_1_port: Port | None = Field(default=None, description="Port of broker-1 behind HAProxy; unset: a free one.")
    broker_2_port: Port | None = Field(default=None, description="Port of broker-2 behind HAProxy; unset: a free one.")
    broker_1_ws_port: Port | None = Field(default=None, description="WebSocket of broker-1; unset: a free port.")
    broker_2_ws_port: Port | None = Field(default=None, description="WebSocket of broker-2; unset: a free port.")
    broker_1_ops_port: Port | None = Field(default=None, description="Health of broker-1; unset: a free port.")
    broker_2_ops_port: Port | None = Field(default=None, description="Health of broker-2; unset: a free port.")
    decoder_ops_port: Port | None = Field(default=None, description="Health of the decoder; unset: a free port.")
    api_ops_port: Port | None = Field(default=None, description="Health of the API; unset: a free port.")
    api_port: Port | None = Field(default=None, description="Port of the API behind HAProxy; unset: a free one.")
    haproxy_ops_port: Port | None = Field(default=None, description="HAProxy's statistics; unset: a free port.")
    export: str = Field(
        default="off",
        description="Where positions and windows go as well: parquet, kafka or both, joined by commas; off.",
    )
    raw_encryption: bool | None = Field(default=None, description="Whether what waits is sealed; services read it.")
    device_key_rotation: str = Field(default="", description="How long a device has one hash; services read it.")
    demo: bool = Field(default=False, description="A crowd that moves, and weeks of history: make demo.")
    demo_devices: int = Field(default=600, ge=10, le=20_000, description="Devices of the demo's crowd.")
    demo_days: int = Field(default=14, ge=0, le=60, description="Days of history of the demo; 0: none.")

    @property
    def runs_keys_redis(self) -> bool:
        """Whether this run has a Redis of keys: where something needs one, and none is named.

        And where there was one: what was sealed may still wait.
        """
        rotates = self.device_key_rotation not in {"", "never"}
        needs = not self.policy.is_open or bool(self.raw_encryption) or rotates
        return not self.keys_redis_url and (needs or (self.data_dir / KEYS_FOLDER).exists())

    @property
    def targets(self) -> set[str]:
        """Those of EXPORT; the exporter says which there are."""
        return {name.strip() for name in self.export.split(",")} - {"", "off"}
