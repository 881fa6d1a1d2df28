"""How much may be told of counts: the settings of it, the profiles, and what they come to in numbers."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field, field_validator

from runtime.durations import parse_duration
from runtime.settings import Settings

_MINUTE_MS = 60_000
_SLOT_MS = 10_000, 3_600_000


class Privacy(StrEnum):
    """The profiles."""

    OPEN = "open"  # counts as they are, but for PRIVACY_MIN_COUNT
    PROTECTED = "protected"
    STRICT = "strict"


class PrivacySettings(Settings):
    """What whoever releases counts, and whoever shows them, must agree on."""

    privacy: Privacy = Field(
        default=Privacy.OPEN, description="What may be told of counts: open, protected or strict; the same everywhere."
    )
    privacy_min_count: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="Counts below it are null; unset: by PRIVACY, 0, 5 or 10. It protects nobody by itself.",
    )
    privacy_width: int | None = Field(
        default=None,
        ge=30,
        le=1000,
        description="Among how many thresholds that of a zone is drawn: the more, the less one arrival tells; unset: by"
        " PRIVACY, 130 or 240.",
    )
    privacy_campus_width: int | None = Field(
        default=None, ge=30, le=1000, description="The same for the campus; unset: by PRIVACY, 390 or 720."
    )
    privacy_slot: str = Field(
        default="", description="How often released counts may change, 10s to 1h; unset: by PRIVACY, 30s or 5m."
    )

    @field_validator("privacy_slot")
    @classmethod
    def _slot(cls, text: str) -> str:
        if text and not _SLOT_MS[0] <= parse_duration(text) <= _SLOT_MS[1]:
            raise ValueError(f"{text!r} is no duration from 10s to 1h")
        return text

    @property
    def policy(self) -> "Policy":
        """What the profile says, but for what is set by itself."""
        return policy_of(self)


@dataclass(frozen=True, slots=True)
class Policy:
    """How much may be told of counts."""

    profile: Privacy
    least: int
    """Counts below it are not shown."""
    slot_ms: int
    """Released counts change at multiples of it alone."""
    width: int
    """Among how many thresholds that of a zone is drawn (`disclosure.walk`)."""
    campus_width: int
    """The same of the campus."""
    time_ms: int
    """Times are told as multiples of it; 1: as they are."""

    @property
    def is_open(self) -> bool:
        """Whether counts are told as they are; else none is told but released ones."""
        return self.profile is Privacy.OPEN

    def most_of_an_arrival(self, *, tried: int = 20, zones: int = 1) -> float:
        """How much likelier or less likely one arrival makes anything that is published, at the most, as a part of 1.

        For somebody who knows all others, and of each count so many thresholds that are not its own, since with them it
        had stepped: by their own devices, or by the crowd. `zones` is how many hold the place, beside the campus. Each
        later step of one of these counts adds 1 / its width. Without meaning under `open`.
        """
        return zones / max(1, self.width - tried) + 1 / max(1, self.campus_width - tried)


_PROTECTED = Policy(
    profile=Privacy.PROTECTED,
    least=5,
    slot_ms=30_000,
    width=130,
    campus_width=390,
    time_ms=_MINUTE_MS,
)
_PROFILES = {
    Privacy.OPEN: Policy(Privacy.OPEN, least=0, slot_ms=30_000, width=130, campus_width=390, time_ms=1),
    Privacy.PROTECTED: _PROTECTED,
    Privacy.STRICT: Policy(Privacy.STRICT, least=10, slot_ms=300_000, width=240, campus_width=720, time_ms=300_000),
}


def policy_of(settings: PrivacySettings) -> Policy:
    """What the profile says, but for what is set by itself."""
    usual = _PROFILES[settings.privacy]
    slot_ms = parse_duration(settings.privacy_slot) if settings.privacy_slot else usual.slot_ms
    return Policy(
        profile=usual.profile,
        least=usual.least if settings.privacy_min_count is None else settings.privacy_min_count,
        slot_ms=slot_ms,
        width=usual.width if settings.privacy_width is None else settings.privacy_width,
        campus_width=usual.campus_width if settings.privacy_campus_width is None else settings.privacy_campus_width,
        # A time that is finer than the slot would tell when in the slot something happened.
        time_ms=usual.time_ms if usual.profile is Privacy.OPEN else max(_MINUTE_MS, slot_ms),
    )
