"""What is hard to believe of what devices sent in an hour; pure.

What is found follows from the set of positions alone: not from the order in which they came, nor from what came twice
(law 2, any order).
"""

from decoder.plausibility.hour import HOUR_MS, Hour
from decoder.plausibility.judging import marked

__all__ = ["HOUR_MS", "Hour", "marked"]
