"""Times that may be told: none that says when somebody came."""

from disclosure.policy import Policy


def slot_start(ms: int, policy: Policy) -> int:
    """When the slot began that a moment is in; milliseconds since the epoch, UTC, as the moment."""
    return ms // policy.slot_ms * policy.slot_ms


def told_time(ms: int, policy: Policy) -> int:
    """A time as it may be told: floored to the minute, or to the slot if that is longer; under `open` as it is."""
    return ms // policy.time_ms * policy.time_ms
