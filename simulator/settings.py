"""Where the simulated devices publish, from the environment."""

from pydantic import Field, SecretStr

from core.settings import Port, Settings


class SimulatorSettings(Settings):
    """The public MQTT port, and who the devices say they are."""

    mqtt_host: str = Field(default="127.0.0.1", description="Where MQTT is.")
    mqtt_port: Port = Field(default=1883, description="Its port; the same setting as that of make run.")
    mqtt_username: str | None = Field(default=None, description="MQTT user; unset: anonymous.")
    mqtt_password: SecretStr | None = Field(default=None, description="The password of that user.")
