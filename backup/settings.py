"""Settings of the backups."""

from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from documents.settings import DocumentSettings
from runtime.settings import DeviceSettings, ObjectStorageSettings
from timeseries.settings import TimeseriesSettings

KEY_DIGITS = 64


class BackupPlaceSettings(ObjectStorageSettings):
    """Where backups are, and what opens them."""

    backup_url: str = Field(
        default="", description="Where backups are: s3://bucket/prefix (S3, IBM COS), or file:///a/folder."
    )
    backup_key: SecretStr = Field(
        default=SecretStr(""),
        description="What encrypts them: 64 hexadecimal digits (openssl rand -hex 32). Without it no backup can be read"
        " again: keep it where the backups are not.",
    )
    backup_keep_days: int = Field(
        default=30, ge=1, le=365, description="Days after which a backup is removed; the newest stays."
    )

    @field_validator("backup_key")
    @classmethod
    def _is_a_key(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value()
        if text and (len(text) != KEY_DIGITS or not all(digit in "0123456789abcdefABCDEF" for digit in text)):
            raise ValueError("not 64 hexadecimal digits; make one with: openssl rand -hex 32")
        return key

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        self.check_place("BACKUP_URL", self.backup_url)
        if not self.backup_key.get_secret_value():
            raise ValueError("BACKUP_KEY: missing: 64 hexadecimal digits; make them with: openssl rand -hex 32")
        return self

    @property
    def key(self) -> bytes:
        """BACKUP_KEY as bytes."""
        return bytes.fromhex(self.backup_key.get_secret_value())


class BackupSettings(BackupPlaceSettings, DocumentSettings, TimeseriesSettings, DeviceSettings):
    """What a backup is made of, and where it goes."""
