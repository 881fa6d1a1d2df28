"""Settings of the autoscaler, and of the gate through which it reaches the Docker Engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from runtime.settings import CommonSettings, OpsSettings, Port

Replicas = Annotated[int, Field(ge=1, le=100)]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Fewest and most containers of a service."""

    minimum: int
    maximum: int


class ScaleSettings(CommonSettings):
    """What the autoscaler and the gate must agree on."""

    compose_project: str = Field(
        default="campus",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description="The compose project whose brokers and decoders these are. No other container is touched.",
    )
    scale_minimum: Replicas = Field(default=2, description="Fewest brokers, and fewest decoders.")
    scale_maximum: Replicas = Field(
        default=6, description="Most brokers, and most decoders; no more than BROKER_SLOTS."
    )
    decoder_minimum: Replicas | None = Field(default=None, description="Fewest decoders; unset: SCALE_MINIMUM.")
    decoder_maximum: Replicas | None = Field(default=None, description="Most decoders; unset: SCALE_MAXIMUM.")

    @model_validator(mode="after")
    def _ordered(self) -> "ScaleSettings":
        if self.scale_maximum < self.scale_minimum:
            raise ValueError("SCALE_MAXIMUM is less than SCALE_MINIMUM")
        decoders = self.bounds("decoder")
        if decoders.maximum < decoders.minimum:
            raise ValueError("DECODER_MAXIMUM is less than DECODER_MINIMUM")
        return self

    def bounds(self, service: str) -> Bounds:
        """How many there may be of a service."""
        minimum = self.decoder_minimum if service == "decoder" else None
        maximum = self.decoder_maximum if service == "decoder" else None
        return Bounds(minimum or self.scale_minimum, maximum or self.scale_maximum)


class AutoscalerSettings(ScaleSettings, OpsSettings):
    """What one broker and one decoder can carry, and how patient the autoscaler is."""

    docker_host: str = Field(
        default="tcp://engine:2375",
        pattern=r"^(tcp|unix)://",
        description="The gate to the Docker Engine (python -m autoscaler gate), or the Engine's own socket.",
    )
    haproxy_socket: Path = Field(
        default=Path("/run/haproxy/admin.sock"), description="HAProxy's runtime API, with level admin."
    )
    broker_ops_port: Port = Field(default=9100, description="Port of the brokers' /metrics.")
    scale_interval: float = Field(default=5.0, ge=0.1, le=300, description="Seconds between two looks at the load.")
    scale_cool_down: float = Field(
        default=120.0,
        ge=0,
        description="Seconds after a change before one is taken away, and in which the load has to be low for that.",
    )
    scale_hysteresis: float = Field(
        default=0.2, ge=0, lt=1, description="Share of what remains that must be free for one to be taken away."
    )
    scale_start_limit: float = Field(
        default=60.0, gt=0, description="Seconds in which a new container must be healthy; if not, it is removed."
    )
    scale_drain_limit: float = Field(
        default=60.0,
        gt=0,
        description="Seconds in which a broker must have drained (DRAIN_SECONDS); then it is stopped.",
    )
    broker_connections: int = Field(default=5000, ge=1, description="Connections that one broker carries.")
    broker_messages: float = Field(default=20_000, gt=0, description="Messages a second that one broker carries.")
    decoder_lag: int = Field(default=10_000, ge=1, description="Waiting messages that are work for one decoder.")


class GateSettings(ScaleSettings):
    """Where the gate listens, and what it guards."""

    gate_host: str = Field(default="127.0.0.1", description="Address that the gate listens on.")
    gate_port: Port = Field(default=2375, description="Port that the gate listens on.")
    gate_for: Literal["autoscaler", "controller"] = Field(
        default="autoscaler",
        description="Who asks here: the autoscaler may start, stop and look at brokers and decoders, and the controller"
        " may ask which containers are an application's.",
    )
    engine_socket: Path = Field(default=Path("/var/run/docker.sock"), description="The Docker Engine's socket.")
