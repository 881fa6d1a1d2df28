"""What the crowd must know of the campus, from the environment."""

from runtime.settings import CampusSettings
from simulator.settings import SimulatorSettings


class CrowdSettings(SimulatorSettings, CampusSettings):
    """The campus that the crowd lives on, and where it publishes."""
