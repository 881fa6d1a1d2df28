"""What the analytics are told."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from disclosure.policy import PrivacySettings
from documents.settings import DocumentSettings
from lake.settings import LakeSettings
from runtime.settings import CampusSettings
from timeseries.settings import TimeseriesSettings


class AnalyticsSettings(DocumentSettings, TimeseriesSettings, LakeSettings, CampusSettings, PrivacySettings):
    """The lake, both stores, the campus; and what a job may take."""

    archive: Literal["every", "sampled", "off"] = Field(
        default="every", description="Which positions the decoder makes documents of: every, sampled or off."
    )
    calendar_file: Path | None = Field(
        default=None,
        description="iCal of the campus's holidays and terms (CATEGORIES:HOLIDAY, CATEGORIES:TERM); unset: all days are"
        " alike.",
    )
    analytics_memory: str = Field(
        default="1200MB",
        pattern=r"^[1-9][0-9]{0,5}(MB|GB)$",
        description="What DuckDB may take for a job, 256MB at the least; the process takes up to 700 MB more.",
    )
    analytics_threads: int = Field(default=2, ge=1, le=64, description="Threads of a job.")
