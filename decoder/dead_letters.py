"""What could not be used, and why: written by the stages, listed by `python -m decoder dead-letters`."""

import json
from collections.abc import Iterable
from typing import Any, cast

from redis.asyncio.client import Pipeline
from rich.console import Console
from rich.table import Table

from core import streams
from core.clock import format_rfc3339
from core.messages import DeadLetter
from core.redis import Redis, redis_errors

SHOWN_BYTES = 60


def bury(pipeline: Pipeline, letters: Iterable[DeadLetter], maximum: int) -> None:
    """Add to a transaction that dead letters are kept, `maximum` of them at the most, and counted."""
    for letter in letters:
        pipeline.xadd(streams.DEAD, letter.encode(), maxlen=maximum, approximate=False)  # type: ignore[arg-type]  # redis-py's dict is invariant
        pipeline.hincrby(streams.TOTALS, f"dead:{letter.reason}", 1)


async def newest(client: Redis, limit: int) -> list[tuple[str, DeadLetter]]:
    """The newest dead letters with their ids, the newest first. Raises Unavailable if Redis does not answer."""
    with redis_errors():
        found = cast("list[Any]", await client.xrevrange(streams.DEAD, count=limit))
    return [(entry_id.decode(), DeadLetter.decode(fields)) for entry_id, fields in found]


async def counts(client: Redis) -> dict[str, int]:
    """How many there have ever been, by reason; more than are kept, once the cap has bitten."""
    with redis_errors():
        totals = cast("dict[bytes, bytes]", await client.hgetall(streams.TOTALS))
    found = {name.decode().removeprefix("dead:"): int(count) for name, count in totals.items() if b"dead:" in name}
    return dict(sorted(found.items()))


def as_json(entry_id: str, letter: DeadLetter) -> str:
    """One dead letter as one line of JSON; the payload as text, with what is not UTF-8 escaped."""
    return json.dumps(
        {
            "id": entry_id,
            "received_at": format_rfc3339(letter.received_at),
            "topic": letter.topic,
            "reason": letter.reason,
            "detail": letter.detail,
            "payload": None if letter.payload is None else letter.payload.decode(errors="backslashreplace"),
        }
    )


def show(console: Console, letters: list[tuple[str, DeadLetter]], totals: dict[str, int], kept: int) -> None:
    """Print a table for people. What came from outside is escaped: a payload cannot speak to the terminal."""
    table = Table("received", "topic", "reason", "detail", "payload", title="Dead letters, the newest first")
    for _, letter in letters:
        payload = "(not kept)" if letter.payload is None else repr(letter.payload[:SHOWN_BYTES])[2:-1]
        cells = (format_rfc3339(letter.received_at), ascii(letter.topic)[1:-1], letter.reason, letter.detail, payload)
        table.add_row(*(cell.replace("[", r"\[") for cell in cells))
    console.print(table)
    ever = sum(totals.values())
    by_reason = ", ".join(f"{reason} {count}" for reason, count in totals.items()) or "none"
    console.print(f"{ever} so far ({by_reason}); {kept} kept, {ever - kept} dropped by DEAD_LETTERS_MAX or by hand.")
