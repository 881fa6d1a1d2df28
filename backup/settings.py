"""Settings of the backups."""

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from documents.settings import DocumentSettings
from runtime.settings import DeviceSettings, Settings
from timeseries.settings import TimeseriesSettings

KEY_DIGITS = 64


class BackupPlaceSettings(Settings):
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
    s3_endpoint: str = Field(
        default="",
        description="Address of the object storage, where it is not Amazon's:"
        " https://s3.eu-de.cloud-object-storage.appdomain.cloud",
    )
    s3_region: str = Field(default="us-east-1", min_length=1, max_length=64, description="Its region, such as eu-de.")
    s3_access_key_id: SecretStr = Field(
        default=SecretStr(""), description="Id of the HMAC key that may use the bucket."
    )
    s3_secret_access_key: SecretStr = Field(default=SecretStr(""), description="The secret of that key.")

    @field_validator("backup_key")
    @classmethod
    def _is_a_key(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value()
        if text and (len(text) != KEY_DIGITS or not all(digit in "0123456789abcdefABCDEF" for digit in text)):
            raise ValueError("not 64 hexadecimal digits; make one with: openssl rand -hex 32")
        return key

    @field_validator("s3_endpoint")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if url and not (urlsplit(url).scheme in {"http", "https"} and urlsplit(url).hostname):
            raise ValueError("not an address such as https://s3.eu-de.cloud-object-storage.appdomain.cloud")
        return url

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        parts = urlsplit(self.backup_url)
        if parts.scheme == "s3":
            if not parts.hostname:
                raise ValueError("BACKUP_URL: the bucket is missing, as in s3://bucket/prefix")
            if not (self.s3_access_key_id.get_secret_value() and self.s3_secret_access_key.get_secret_value()):
                raise ValueError("BACKUP_URL: s3:// also needs S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY")
        elif parts.scheme != "file" or parts.netloc or not parts.path.startswith("/"):
            raise ValueError("BACKUP_URL: not an address such as s3://bucket/prefix or file:///a/folder")
        if not self.backup_key.get_secret_value():
            raise ValueError("BACKUP_KEY: missing: 64 hexadecimal digits; make them with: openssl rand -hex 32")
        return self

    @property
    def key(self) -> bytes:
        """BACKUP_KEY as bytes."""
        return bytes.fromhex(self.backup_key.get_secret_value())


class BackupSettings(BackupPlaceSettings, DocumentSettings, TimeseriesSettings, DeviceSettings):
    """What a backup is made of, and where it goes."""
