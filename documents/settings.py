"""Settings of the document store."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from core.settings import CommonSettings


class DocumentSettings(CommonSettings):
    """Where the position documents are kept.

    How to log in to Cloudant (CLOUDANT_AUTH_TYPE, CLOUDANT_USERNAME, CLOUDANT_PASSWORD, CLOUDANT_APIKEY, ...) is read
    by IBM's SDK itself, so no secret passes through here.
    """

    document_store: Literal["sqlite", "cloudant"] = Field(
        default="sqlite", description="sqlite: a file in DATA_DIR. cloudant: IBM Cloudant or Apache CouchDB."
    )
    cloudant_url: str = Field(default="", description="Address of Cloudant or CouchDB: https://host, without a path.")
    cloudant_database: str = Field(
        default="positions", pattern=r"^[a-z][a-z0-9_-]{0,99}$", description="Database of the position documents."
    )

    @property
    def documents_file(self) -> Path:
        """The file of the SQLite store."""
        return self.data_dir / "documents.sqlite3"
