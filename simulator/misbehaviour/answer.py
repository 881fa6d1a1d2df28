"""What was done, and what came of it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """One kind of misbehaviour."""

    what: str
    """Its name, as --only has it."""
    sent: str
    """What the device did, in words."""
    answered: list[str] = field(default_factory=list)
    """What the system made of it, in words."""
