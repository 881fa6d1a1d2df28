"""Settings of the API."""

from pydantic import Field

from core.settings import CampusSettings, Port
from timeseries import MAX_POINTS, TimeseriesSettings


class ApiSettings(TimeseriesSettings, CampusSettings):
    """Where the API listens, what it reads, and how much one answer may hold."""

    api_host: str = Field(default="127.0.0.1", description="Address that the API and the live map listen on.")
    api_port: Port = Field(default=8081, description="Their port.")
    occupancy_ttl: int = Field(
        default=1, ge=0, le=3600, description="Seconds for which an answer about now stays good (GBFS ttl)."
    )
    history_max_points: int = Field(
        default=10_000, ge=1, le=MAX_POINTS, description="Windows that one answer about history may hold."
    )
