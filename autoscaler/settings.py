"""Settings of the autoscaler."""

from pydantic import Field, model_validator

from core.settings import CommonSettings


class AutoscalerSettings(CommonSettings):
    """How many there may be of each service, and what one of them can carry."""

    scale_minimum: int = Field(default=2, ge=1, le=100, description="Fewest brokers, and fewest decoders.")
    scale_maximum: int = Field(default=6, ge=1, le=100, description="Most brokers, and most decoders.")
    scale_cool_down: float = Field(default=120.0, ge=0, description="Seconds after a change before one is taken away.")
    scale_hysteresis: float = Field(
        default=0.2, ge=0, lt=1, description="Share of what remains that must be free for one to be taken away."
    )
    broker_connections: int = Field(default=5000, ge=1, description="Connections that one broker carries.")
    broker_messages: float = Field(default=20_000, gt=0, description="Messages a second that one broker carries.")
    decoder_lag: int = Field(default=10_000, ge=1, description="Waiting messages that are work for one decoder.")

    @model_validator(mode="after")
    def _ordered(self) -> "AutoscalerSettings":
        if self.scale_maximum < self.scale_minimum:
            raise ValueError("SCALE_MAXIMUM is less than SCALE_MINIMUM")
        return self
