"""Settings of a broker node."""

from pydantic import Field

from core.settings import CommonSettings, OpsSettings, Port


class BrokerSettings(CommonSettings, OpsSettings):
    """One node of the cluster; every limit is for one connection unless it says otherwise."""

    broker_node: str = Field(default="broker-1", pattern=r"^[a-z0-9-]{1,64}$", description="Name of this node.")
    broker_host: str = Field(default="127.0.0.1", description="Address that it listens on.")
    broker_port: Port = Field(default=1883, description="Port that it listens on.")
    broker_reuse_port: bool = Field(
        default=False, description="Share the port with other nodes of this machine (SO_REUSEPORT), without a proxy."
    )
    mqtt_allow_anonymous: bool = Field(default=False, description="Let clients in without a user.")
    mqtt_max_payload: int = Field(
        default=65_536, ge=1, le=1_048_576, description="Bytes of a payload; a larger one becomes a dead letter."
    )
    mqtt_max_packet: int = Field(
        default=262_144, ge=1024, le=16_777_216, description="Bytes of a packet; a larger one ends the connection."
    )
    mqtt_connect_timeout: float = Field(default=10.0, gt=0, description="Seconds in which CONNECT must arrive.")
    raw_max_length: int = Field(
        default=1_000_000, ge=1000, description="Messages that may wait for a decoder; at more, publishers wait."
    )
