"""Where the lake is, and how long it keeps what is in it."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from runtime.settings import ObjectStorageSettings


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

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if self.lake_url:
            self.check_place("LAKE_URL", self.lake_url)
        return self

    def lake_address(self, data_dir: Path) -> str:
        """LAKE_URL, or the folder `lake` in DATA_DIR."""
        return self.lake_url or (data_dir.resolve() / "lake").as_uri()
