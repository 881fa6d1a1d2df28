"""What the recipes say: tests/resilience/recipes.toml."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from core.faults import BEHIND, MAX_FAULTS, Fault, problems_of

FILE = Path(__file__).with_name("recipes.toml")
DECODERS = 2


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of them."""

    name: str
    faults: list[dict[str, Any]] = []
    seconds: float
    recovered_within: float
    ahead: tuple[float, ...] = (0,) * DECODERS
    dns_late: float = 0.0
    """Seconds that HAProxy waits for each answer of DNS, while one of the brokers is killed and comes back."""
    partitioned: bool = False
    """Whether nothing comes through between HAProxy and the second broker, and neither is told."""

    @property
    def is_of_a_broker(self) -> bool:
        """Whether it is played with two broker nodes, of which the second is hit, and not with decoders."""
        of_brokers = any(fault["between"].startswith("broker>") for fault in self.faults)
        return of_brokers or self.partitioned or self.dns_late > 0

    def __post_init__(self) -> None:
        """Raise ValueError for what the keeper would refuse."""
        if wrong := problems_of([Fault(**fault, until=0, by="") for fault in self.faults[: MAX_FAULTS + 1]]):
            raise ValueError(f"{self.name}: {'; '.join(wrong)}")
        if len(self.ahead) != DECODERS:
            raise ValueError(f"{self.name}: ahead has a number for each of {DECODERS} decoders")
        if outside := {fault["between"] for fault in self.faults} - set(BEHIND):
            raise ValueError(f"{self.name}: nothing stands between {', '.join(sorted(outside))}")


def load() -> list[Recipe]:
    """All of them, in the order of the file. Raises ValueError for one that says what cannot be."""
    with FILE.open("rb") as file:
        return msgspec.convert(tomllib.load(file)["recipe"], list[Recipe])
