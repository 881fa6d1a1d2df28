"""What a position must be to count, as the settings say."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.kinds import Role


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits."""

    max_age_ms: Mapping[Role, int]
    """How old a position may be when the broker receives it, by the role of who sends it; a role that is not there may
    send any."""
    max_accuracy: float = 100.0
    """Metres: a position that is less accurate counts in no zone but the campus itself."""
    max_accuracy_campus: float = 1000.0
    """Metres: one that is less accurate still counts nowhere."""
    margin: float = 0.0
    """How many times its accuracy a position must be away from an edge to be surely on its side; 0: each is sure."""
    assumed_accuracy: float = 0.0
    """Metres: the accuracy of a position that says none, or 0, which is how some phones say that."""
