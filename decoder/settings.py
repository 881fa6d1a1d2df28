"""Settings of the decoder."""

import socket
from enum import StrEnum

from pydantic import Field, ValidationInfo, field_validator

from core.kinds import Kinds
from decoder.export_settings import ExportSettings, Target
from decoder.rules import Rules
from disclosure.policy import PrivacySettings
from documents import DocumentSettings
from runtime.durations import parse_duration
from runtime.epochs import WhoIsWho, who_is_who
from runtime.settings import CampusSettings, DeviceSettings, OpsSettings, PositionSettings, ReserveSettings
from runtime.tracing import TracingSettings
from state.devices import Settling
from state.durability import DurabilitySettings
from state.sealing import SealingSettings
from timeseries import TimeseriesSettings

HOUR_MS = 3_600_000
MARKS_KEEP_MAX_MS = 90 * 24 * HOUR_MS


class Stage(StrEnum):
    """The stages, each with a backlog of its own."""

    OBSERVE = "observe"
    ARCHIVE = "archive"
    ROLLUP = "rollup"
    JUDGE = "judge"
    EXPORT = "export"
    RELEASE = "release"


STAGES = f"{Stage.OBSERVE},{Stage.ARCHIVE},{Stage.ROLLUP}"
"""Those that a campus needs: what is counted does not depend on judge."""


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
    SealingSettings,
    ReserveSettings,
    DurabilitySettings,
    TracingSettings,
    ExportSettings,
    PrivacySettings,
):
    """One decoder process."""

    stages: str = Field(
        default=STAGES,
        description="Stages that this process runs, joined by commas: observe,archive,rollup,judge,export,release."
        " Where PRIVACY is not open, rollup has release with it.",
    )
    decoder_name: str = Field(
        default_factory=socket.gethostname, description="Name of this process among the decoders; unique and lasting."
    )
    dead_letters_max: int = Field(default=1000, ge=1, le=1_000_000, description="Dead letters that are kept.")
    dead_letters_keep: str = Field(
        default="7d", description="How long dead letters are kept, such as 12h or 7d; some of them hold payloads."
    )
    echo_refusals: bool = Field(
        default=False,
        description="Tell a device on devices/{user}/refused why something of its own was refused; services hear of it"
        " on $SYS/broker/refused/{kind} in any case.",
    )
    implausible_speed: float = Field(
        default=70.0, gt=0, description="Metres a second; a position that would take more is marked in its document."
    )
    judge_devices: int = Field(
        default=5000,
        ge=1,
        le=20_000,
        description="Devices that the stage judge looks at in an hour; positions of more are only counted.",
    )
    marks_keep: str = Field(
        default="30d",
        description="How long marks of devices are kept after their hour, such as 12h or 30d, up to 90d; no longer than"
        " DOCUMENTS_KEEP.",
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
    presence_margin: float = Field(
        default=3.0,
        ge=0,
        le=5,
        description="How many times its accuracy a position must be inside a zone or outside it to say so alone, for"
        " presence; 0: each does. The same for all decoders.",
    )
    presence_fixes: int = Field(
        default=12,
        ge=2,
        le=50,
        description="Positions in a row on one side of an edge that say so together, however near. The same for all"
        " decoders.",
    )
    presence_keep: int = Field(
        default=256,
        ge=8,
        le=256,
        description="Positions near an edge that are kept of a device, for presence. The same for all decoders.",
    )
    assumed_accuracy: float = Field(
        default=5.0,
        ge=0,
        le=100,
        description="Metres; the accuracy of positions that say none, for presence. The same for all decoders.",
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

    @field_validator("archive")
    @classmethod
    def _can_be_judged(cls, archive: Archive, info: ValidationInfo) -> Archive:
        # Which positions are the samples depends on which came first, and marks must not.
        if archive is not Archive.EVERY and Stage.JUDGE in info.data.get("stages", "").split(","):
            raise ValueError(f"{archive.value}, and STAGES has judge, which needs documents of every position")
        return archive

    @field_validator("marks_keep")
    @classmethod
    def _marks_are_bounded(cls, text: str) -> str:
        if not HOUR_MS <= parse_duration(text) <= MARKS_KEEP_MAX_MS:
            raise ValueError("marks are kept for 1h to 90d")
        return text

    @field_validator("presence_keep")
    @classmethod
    def _holds_a_row(cls, keep: int, info: ValidationInfo) -> int:
        # 2: PRESENCE_FIXES has a mistake of its own.
        row = info.data.get("presence_fixes", 2)
        if keep < row:
            raise ValueError(f"fewer than PRESENCE_FIXES ({row}), which would never be in a row")
        return keep

    @field_validator("stages")
    @classmethod
    def _known_stages(cls, text: str) -> str:
        names = [name.strip() for name in text.split(",") if name.strip()]
        unknown = sorted(set(names) - set(Stage))
        if unknown or not names:
            raise ValueError(f"{', '.join(unknown) or 'nothing'}: choose from {', '.join(Stage)}")
        return ",".join(names)

    @property
    def marks_keep_ms(self) -> int:
        """MARKS_KEEP, or DOCUMENTS_KEEP where that is shorter, in milliseconds."""
        keep = parse_duration(self.marks_keep)
        return keep if self.documents_keep_ms is None else min(keep, self.documents_keep_ms)

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
            max_age_ms=self.position_max_age_ms(kinds, most=self.who_is_who.most_age_ms),
            max_accuracy=self.max_accuracy,
            max_accuracy_campus=self.max_accuracy_campus,
            margin=self.presence_margin,
            assumed_accuracy=self.assumed_accuracy,
        )

    @property
    def who_is_who(self) -> WhoIsWho:
        """DEVICE_KEY_ROTATION and DEVICE_SOURCE."""
        return who_is_who(self, is_open=self.policy.is_open)

    @property
    def settling(self) -> Settling | None:
        """When devices are settled in zones; None where each position is sure."""
        return Settling(self.presence_fixes, self.presence_keep) if self.presence_margin else None

    @property
    def uses_lake(self) -> bool:
        """All decoders are told where the lake is, and the stage `export` alone opens it."""
        return Stage.EXPORT in self.chosen_stages and Target.PARQUET in self.targets

    @property
    def chosen_stages(self) -> set[Stage]:
        """The stages to run: `release` with `rollup`, so that nobody forgets it, and only where there is need of it."""
        chosen = {Stage(name) for name in self.stages.split(",")} - {Stage.RELEASE}
        released = Stage.RELEASE in self.stages.split(",") or Stage.ROLLUP in chosen
        return chosen if self.policy.is_open or not released else chosen | {Stage.RELEASE}
