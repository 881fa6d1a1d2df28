"""What becomes of an entry that decoders die of."""

import structlog

from core.clock import format_rfc3339
from core.errors import Reason
from core.kinds import Kinds
from core.messages import DeadLetter
from decoder.dead_letters import first_level
from state.entries import decode_entry
from state.group import Entry

_log = structlog.stdlib.get_logger("poison")


def poison_letter(entry: Entry, kinds: Kinds, *, stage: str, deliveries: int) -> DeadLetter:
    """The dead letter for an entry that was delivered so often and never finished.

    It keeps neither the payload nor more than the first level of the topic: no decoder got as far as finding out
    whether the position is on the campus.
    """
    entry_id, fields = entry
    try:
        message = decode_entry(fields)[0]
        topic, received_at = first_level(message.topic, kinds), message.received_at
    except ValueError:  # an entry of the stream positions, or one that no broker wrote
        topic, received_at = "", int(entry_id.partition(b"-")[0])
    detail = f"delivered {deliveries} times to the stage {stage}, and never finished"
    _log.error("poison", entry=entry_id.decode(), received_at=format_rfc3339(received_at), detail=detail)
    return DeadLetter(Reason.POISON, detail, topic, received_at, payload=None)
