"""Where the simulated devices publish, from the environment."""

from pathlib import Path

from pydantic import Field, SecretStr

from runtime.settings import KindsSettings, Port


class SimulatorSettings(KindsSettings):
    """The public MQTT port, and who the devices say they are."""

    data_dir: Path = Field(default=Path("data"), description="Folder in which make run keeps its demo users.")
    mqtt_host: str = Field(default="127.0.0.1", description="Where MQTT is.")
    mqtt_port: Port = Field(default=1883, description="Its port; the same setting as that of make run.")
    mqtt_username: str | None = Field(
        default=None, description="MQTT user; unset: demo-gateway of make run on this machine, or else anonymous."
    )
    mqtt_password: SecretStr | None = Field(default=None, description="The password of that user.")
