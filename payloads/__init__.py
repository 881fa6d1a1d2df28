"""What devices send, as checked fixes or a reason why not. One function, `read`, for every door. No I/O, no clock."""

from payloads.fix import Fix, Ignored, Outcome, Refusal, Sender
from payloads.formats import IGNORED
from payloads.reading import comes_again, read

__all__ = ["IGNORED", "Fix", "Ignored", "Outcome", "Refusal", "Sender", "comes_again", "read"]
