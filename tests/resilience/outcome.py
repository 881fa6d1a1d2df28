"""What comes of a recipe."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    messages: int = 0
    wrong: list[str] = field(default_factory=list)
    """What is not as it has to be, a sentence each."""
    recovered: float = 0.0
    """Seconds from the end of the faults until all was worked off."""
