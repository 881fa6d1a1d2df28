"""What the smoke test must not be told on the command line, where others can read it."""

from pydantic import Field, SecretStr

from runtime.settings import KindsSettings


class SmokeSettings(KindsSettings):
    """What it knows from the environment."""

    mqtt_password: SecretStr | None = Field(default=None, description="The password of the MQTT user.")
    api_key: SecretStr | None = Field(
        default=None, description="An API key, where the API answers nothing without one; any scope will do."
    )
