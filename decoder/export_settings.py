"""Settings of the export: which targets positions and windows go to, and how."""

from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from lake.settings import LakeSettings
from runtime.durations import parse_duration

OFF = "off"
HOUR_MS = 3_600_000
PATIENCE_MS = (HOUR_MS, 30 * 24 * HOUR_MS)
RETENTION_MS = (HOUR_MS, 365 * 24 * HOUR_MS)


class Target(StrEnum):
    """Where positions and windows are exported to; each has a backlog of its own."""

    PARQUET = "parquet"
    KAFKA = "kafka"


class ExportSettings(LakeSettings):
    """What all decoders must agree on, and what the stage `export` needs."""

    export: str = Field(
        default=OFF,
        description="Where positions and windows go as well: parquet, kafka or both, joined by commas; off. The same"
        " for all decoders, and one of them has to run the stage export.",
    )
    export_patience: str = Field(
        default="24h",
        description="How long positions wait for a target that is away, 1h to 30d; then they are passed over for it.",
    )
    export_batch: int = Field(default=50, ge=1, le=1000, description="Entries of the positions stream to a read.")
    lake_every: float = Field(
        default=120.0, ge=1, le=3600, description="Seconds for which positions are gathered to one file of the lake."
    )
    lake_positions: int = Field(
        default=50_000,
        ge=1000,
        le=1_000_000,
        description="Positions that a process gathers at the most, some 1 KB each in memory; partitions share them.",
    )
    kafka_servers: str = Field(
        default="", description="Addresses of Kafka, host:port joined by commas; needed where EXPORT has kafka."
    )
    kafka_format: Literal["json", "avro"] = Field(default="json", description="What the values of records are.")
    kafka_topic_prefix: str = Field(
        default="",
        pattern=r"^[a-z0-9._-]{0,60}$",
        description="What the names of topics begin with: with campus- they are campus-positions and campus-occupancy.",
    )
    kafka_retention: str = Field(
        default="7d",
        description="How long records stay in a topic positions that is made here, 1h to 365d; one that is there"
        " already stays as it is.",
    )
    kafka_security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        default="plaintext", description="How Kafka is spoken to."
    )
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="How KAFKA_USER logs in, where KAFKA_SECURITY is sasl."
    )
    kafka_user: str = Field(default="", description="Who logs in to Kafka, where KAFKA_SECURITY is sasl.")
    kafka_password: SecretStr = Field(default=SecretStr(""), description="The password of KAFKA_USER.")
    kafka_ca: Path | None = Field(
        default=None, description="File of the authorities whose certificates Kafka may have; unset: the system's."
    )

    @field_validator("export")
    @classmethod
    def _known_targets(cls, text: str) -> str:
        names = [name.strip() for name in text.split(",") if name.strip()]
        if names == [OFF]:
            return OFF
        unknown = sorted(set(names) - set(Target))
        if unknown or not names:
            raise ValueError(f"{', '.join(unknown) or 'nothing'}: choose off, or from {', '.join(Target)}")
        return ",".join(names)

    @field_validator("export_patience")
    @classmethod
    def _patience_is_bounded(cls, text: str) -> str:
        if not PATIENCE_MS[0] <= parse_duration(text) <= PATIENCE_MS[1]:
            raise ValueError("from 1h to 30d")
        return text

    @model_validator(mode="after")
    def _is_gathered_in_time(self) -> Self:
        if 2000 * self.lake_every > self.export_patience_ms:
            raise ValueError("LAKE_EVERY: at most half of EXPORT_PATIENCE, after which what is gathered is passed over")
        return self

    @field_validator("kafka_retention")
    @classmethod
    def _retention_is_bounded(cls, text: str) -> str:
        if not RETENTION_MS[0] <= parse_duration(text) <= RETENTION_MS[1]:
            raise ValueError("from 1h to 365d")
        return text

    @property
    def targets(self) -> list[Target]:
        """Those that are chosen, in the order in which they are defined."""
        return [target for target in Target if target.value in self.export.split(",")]

    @property
    def export_patience_ms(self) -> int:
        """EXPORT_PATIENCE in milliseconds."""
        return parse_duration(self.export_patience)

    @property
    def kafka_retention_ms(self) -> int:
        """KAFKA_RETENTION in milliseconds."""
        return parse_duration(self.kafka_retention)
