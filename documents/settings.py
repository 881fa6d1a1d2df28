"""Settings of the document store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from documents.retention import parse_keep
from runtime.settings import CommonSettings


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
        default="positions",
        pattern=r"^[a-z][a-z0-9_-]{0,99}$",
        description="What the names of the databases begin with; a month follows, as in positions-2026-11.",
    )
    cloudant_months: int = Field(
        default=12,
        ge=1,
        le=600,
        description="Months back from the present that have a database each; older positions share one. A Lite plan has"
        " room for 20 databases, Standard for 200.",
    )
    cloudant_writes_per_second: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Documents that this process writes a second at the most: 10 on a Lite plan. Unset: no limit.",
    )
    documents_keep: str | None = Field(
        default=None,
        description="How long documents are kept, such as 90d: days (UTC) that were over before are dropped, once a"
        " day. Unset: for ever.",
    )

    @field_validator("documents_keep")
    @classmethod
    def _days(cls, text: str | None) -> str | None:
        if text is not None:
            parse_keep(text)
        return text

    @property
    def documents_keep_ms(self) -> int | None:
        """DOCUMENTS_KEEP in milliseconds; None for ever."""
        return None if self.documents_keep is None else parse_keep(self.documents_keep)

    @property
    def documents_file(self) -> Path:
        """The file of the SQLite store."""
        return self.data_dir / "documents.sqlite3"


class SetupSettings(DocumentSettings):
    """What `python -m documents setup` needs besides, to make the users of a CouchDB."""

    couchdb_writer_password: SecretStr = Field(
        default=SecretStr(""), description="Password of CouchDB's user writer, who stores positions."
    )
    couchdb_reader_password: SecretStr = Field(default=SecretStr(""), description="The same of reader, who reads them.")
    couchdb_eraser_password: SecretStr = Field(
        default=SecretStr(""), description="The same of eraser, who reads and deletes them."
    )

    @property
    def passwords(self) -> Mapping[str, str]:
        """Those of the users, by name; none where no users are to be made."""
        given = {
            "writer": self.couchdb_writer_password.get_secret_value(),
            "reader": self.couchdb_reader_password.get_secret_value(),
            "eraser": self.couchdb_eraser_password.get_secret_value(),
        }
        return given if any(given.values()) else {}

    @model_validator(mode="after")
    def _all_users(self) -> Self:
        missing = [f"COUCHDB_{name.upper()}_PASSWORD" for name, password in self.passwords.items() if not password]
        if missing:
            raise ValueError(f"{', '.join(missing)}: not set, while another of the three is")
        return self
