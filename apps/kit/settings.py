"""Settings of an application. They come from the environment, secrets from files as well."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SECRETS = Path("/run/secrets")
"""Where containers find their secrets: a file each, with the name of the variable."""
Port = Annotated[int, Field(ge=1, le=65535)]


class AppSettings(BaseSettings):
    """Field names in capitals are the environment variables."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        secrets_dir=SECRETS if SECRETS.is_dir() else None,
    )

    zone: str | None = Field(
        default=None, pattern="^[A-Za-z0-9_.-]{1,64}$", description="Id of the zone it follows; unset: its own choice."
    )
    api_url: str = Field(default="http://127.0.0.1:8080", description="Where the campus answers over REST.")
    api_key: SecretStr | None = Field(default=None, description="Key of the API; unset: asks without one.")
    mqtt_host: str = Field(default="127.0.0.1", description="Where the campus speaks MQTT.")
    mqtt_port: Port = Field(default=1883, description="Its port.")
    mqtt_tls: bool = Field(default=False, description="Whether to speak TLS.")
    mqtt_ca: Path | None = Field(default=None, description="File of the authorities to trust; unset: the system's.")
    mqtt_username: str | None = Field(default=None, description="A user with the role `app`; unset: nobody.")
    mqtt_password: SecretStr | None = Field(default=None, description="Its password.")
    http_host: str = Field(default="127.0.0.1", description="Address on which it answers.")
    http_port: Port = Field(default=8090, description="Port on which it answers.")
