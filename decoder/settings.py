"""Settings of the decoder."""

import socket
from enum import StrEnum

from pydantic import Field, field_validator

from core.kinds import Kinds
from decoder.rules import Rules
from documents import DocumentSettings
from runtime.durations import parse_duration
from runtime.settings import CampusSettings, DeviceSettings, OpsSettings, PositionSettings, ReserveSettings
from state.durability import DurabilitySettings
from timeseries import TimeseriesSettings


class Stage(StrEnum):
    """The stages, each with a backlog of its own."""

    OBSERVE = "observe"
    ARCHIVE = "archive"
    ROLLUP = "rollup"


class Archive(StrEnum):
    """Which positions become documents; the counts never depend on it."""

    EVERY = "every"
    SAMPLED = "sampled"  # of one device, one a minute and combination of zones
    OFF = "off"


class DecoderSettings(
    DocumentSettings,
    TimeseriesSettings,
    CampusSettings,
    PositionSettings,
    OpsSettings,
    DeviceSettings,
    ReserveSettings,
    DurabilitySettings,
):
    """One decoder process."""

    stages: str = Field(
        default=",".join(Stage), description="Stages that this process runs, joined by commas: observe,archive,rollup."
    )
    decoder_name: str = Field(
        default_factory=socket.gethostname, description="Name of this process among the decoders; unique and lasting."
    )
    dead_letters_max: int = Field(default=1000, ge=1, le=1_000_000, description="Dead letters that are kept.")
    dead_letters_keep: str = Field(
        default="7d", description="How long dead letters are kept, such as 12h or 7d; some of them hold payloads."
    )
    implausible_speed: float = Field(
        default=70.0, gt=0, description="Metres a second; a position that would take more is marked in its document."
    )
    max_accuracy: float = Field(
        default=100.0,
        gt=0,
        description="Metres; a position that is less accurate counts in no zone, only on the campus, and its document"
        " says so.",
    )
    max_accuracy_campus: float = Field(
        default=1000.0,
        gt=0,
        description="Metres; a position that is less accurate does not count on the campus either.",
    )
    observe_batch: int = Field(default=500, ge=1, le=10_000, description="Raw messages to a batch.")
    archive: Archive = Field(
        default=Archive.EVERY,
        description="Which positions become documents: every; sampled, at most one a device, minute and zones; off.",
    )
    archive_batch: int = Field(default=20, ge=1, le=1000, description="Entries of the positions stream to a batch.")
    rollup_batch: int = Field(default=1000, ge=1, le=10_000, description="Windows to a batch.")
    rollup_every: float = Field(
        default=10.0,
        ge=0,
        le=3600,
        description="Seconds; an open window is written once in so long at the most, one that has ended at once.",
    )
    claim_after: float = Field(
        default=30.0, gt=0, description="Seconds after which what another decoder left unfinished is taken over."
    )
    poison_after: int = Field(
        default=5, ge=2, le=1000, description="Deliveries after which an entry that is never finished is a dead letter."
    )
    forget_after: float = Field(
        default=60.0,
        gt=0,
        description="Seconds after which Redis's append-only file is rewritten without what is done.",
    )

    @field_validator("dead_letters_keep")
    @classmethod
    def _duration(cls, text: str) -> str:
        parse_duration(text)
        return text

    @field_validator("stages")
    @classmethod
    def _known_stages(cls, text: str) -> str:
        names = [name.strip() for name in text.split(",") if name.strip()]
        unknown = sorted(set(names) - set(Stage))
        if unknown or not names:
            raise ValueError(f"{', '.join(unknown) or 'nothing'}: choose from {', '.join(Stage)}")
        return ",".join(names)

    @property
    def dead_letters_keep_ms(self) -> int:
        """DEAD_LETTERS_KEEP in milliseconds."""
        return parse_duration(self.dead_letters_keep)

    @property
    def rollup_every_ms(self) -> int:
        """ROLLUP_EVERY in milliseconds."""
        return int(self.rollup_every * 1000)

    def rules(self, kinds: Kinds) -> Rules:
        """What a position must be to count. Raises BadSettingsError."""
        return Rules(
            max_age_ms=self.position_max_age_ms(kinds),
            max_accuracy=self.max_accuracy,
            max_accuracy_campus=self.max_accuracy_campus,
        )

    @property
    def chosen_stages(self) -> set[Stage]:
        """The stages to run."""
        return {Stage(name) for name in self.stages.split(",")}
