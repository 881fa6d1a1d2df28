"""Where the lake is, and how long it keeps what is in it."""

import re
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from runtime.settings import ObjectStorageSettings

DAY_MS = 24 * 3_600_000
KEEP_DAYS_MAX = 36_500
_KEEP = re.compile(r"\d{1,5}d", re.ASCII)


class LakeSettings(ObjectStorageSettings):
    """What whoever writes or reads the lake must agree on."""

    lake_url: str = Field(
        default="",
        description="Where the lake is: s3://bucket/prefix (S3, IBM COS) or file:///folder; unset: lake in DATA_DIR.",
    )
    lake_keep: str = Field(
        default="",
        description="How long the lake keeps a date's positions after its end, such as 90d; unset: as DOCUMENTS_KEEP,"
        " or for ever.",
    )

    @field_validator("lake_keep")
    @classmethod
    def _is_days(cls, text: str) -> str:
        if text and not (_KEEP.fullmatch(text) and 1 <= int(text[:-1]) <= KEEP_DAYS_MAX):
            raise ValueError(f"{text[:20]!r} is not a number of days such as 90d, from 1d to {KEEP_DAYS_MAX}d")
        return text

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if self.lake_url and self.uses_lake:
            self.check_place("LAKE_URL", self.lake_url)
        return self

    @property
    def uses_lake(self) -> bool:
        """Whether the lake is opened at all: who does not has no key of its bucket."""
        return True

    @property
    def lake_keep_ms(self) -> int | None:
        """LAKE_KEEP in milliseconds; None where it says nothing."""
        return int(self.lake_keep[:-1]) * DAY_MS if self.lake_keep else None

    def lake_address(self, data_dir: Path) -> str:
        """LAKE_URL, or the folder `lake` in DATA_DIR."""
        return self.lake_url or (data_dir.resolve() / "lake").as_uri()
