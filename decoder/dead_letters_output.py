"""Dead letters for people and for tools. What came from outside is escaped: no payload speaks to the terminal."""

import base64
import binascii
import json
from collections.abc import Iterable, Sequence

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.clock import format_rfc3339
from core.messages import DeadLetter
from core.unreadable import UNREADABLE
from decoder.explain import Group
from state.dead_letters import Found, Kept

SHOWN_BYTES = 60
INDENTED_TIMES = 20
"""How much longer JSON may become when it is laid out: deep in 900 brackets, every number would have a line of 2 kB."""
NOT_KEPT = "(not kept)"
Row = tuple[str, ...]


def as_json(found: Found) -> str:
    """One dead letter as one line of JSON; the payload as text, with what is not UTF-8 escaped."""
    letter_id, letter = found
    return json.dumps(
        {
            "id": letter_id,
            "received_at": format_rfc3339(letter.received_at),
            "topic": letter.topic,
            "user": letter.user,
            "role": letter.role,
            "reason": letter.reason,
            "detail": letter.detail,
            "size": letter.size,
            "shape": letter.shape,
            "payload": None if letter.payload is None else letter.payload.decode(errors="backslashreplace"),
        }
    )


def row(found: Found) -> Row:
    """One dead letter as a line of the table, which holds no more of the payload than is shown."""
    letter_id, letter = found
    return (
        letter_id,
        format_rfc3339(letter.received_at),
        escaped(letter.topic),
        letter.reason,
        escaped(letter.detail),
        _not_kept(letter) if letter.payload is None else repr(letter.payload[:SHOWN_BYTES])[2:-1],
    )


def show_table(console: Console, rows: Iterable[Row], numbers: Kept) -> None:
    """Print the rows, and how many letters there are and were."""
    table = Table("id", "received", "topic", "reason", "detail", "payload", title="Dead letters, the newest first")
    table.columns[0].no_wrap = True
    _fill(console, table, rows)
    console.print(table)
    ever = ", ".join(f"{reason} {count}" for reason, count in numbers.ever.items()) or "none"
    gone = (
        f"{numbers.replayed} replayed, {numbers.dropped} dropped, {numbers.expired} older than DEAD_LETTERS_KEEP, "
        f"{numbers.capped} pushed out by DEAD_LETTERS_MAX"
    )
    console.print(Text(f"{sum(numbers.ever.values())} so far ({ever}): {numbers.kept} kept, {gone}."))


def group_as_json(group: Group) -> str:
    """One group as one line of JSON."""
    return json.dumps(
        {
            "app": group.app,
            "reason": group.reason,
            "detail": group.detail,
            "count": group.count,
            "last": format_rfc3339(group.last),
            "letter": group.newest,
            "remedy": group.remedy,
        }
    )


def show_groups(console: Console, groups: Sequence[Group]) -> None:
    """Print the groups, and how many letters they are of."""
    for group in groups:
        letters = "1 letter" if group.count == 1 else f"{group.count} letters"
        # Each in a line of its own: in columns of a narrow terminal a sentence is twelve of them.
        for line in (
            f"{group.app}: {letters}, last {format_rfc3339(group.last)}, newest {group.newest}",
            escaped(f"  {group.reason}: {group.detail}"),
            f"  {group.remedy}",
        ):
            console.print(_writable(console, line), soft_wrap=True)
    console.print(Text(f"{sum(group.count for group in groups)} dead letters, {len(groups)} groups."))


def _fill(console: Console, table: Table, rows: Iterable[Row]) -> None:
    for cells in rows:
        table.add_row(*(_writable(console, cell) for cell in cells))


def _writable(console: Console, text: str) -> Text:
    # What the terminal cannot write must not end the command. As texts: in strings, rich would look for mark-up.
    return Text(text.encode(console.encoding, "backslashreplace").decode(console.encoding))


def described(found: Found) -> str:
    """Everything of one letter, with its payload as a person would want to read it."""
    letter_id, letter = found
    fields = {
        "id": letter_id,
        "received": format_rfc3339(letter.received_at),
        "topic": letter.topic,
        "user": letter.user or "(anonymous, or not kept)",
        "role": letter.role,
        "reason": letter.reason,
        "detail": letter.detail,
        "size": "(not known)" if letter.size is None else f"{letter.size} bytes",
        "shape": letter.shape or "(not known)",
    }
    lines = [f"{name:9} {escaped(text)}" for name, text in fields.items()]
    return "\n".join([*lines, *_payload(letter)])


def _not_kept(letter: DeadLetter) -> str:
    return f"{NOT_KEPT} {escaped(letter.shape)}" if letter.shape else NOT_KEPT


def escaped(text: str) -> str:
    """The text, with every character that is not simply printed (controls, directions, line ends) as its code."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def _payload(letter: DeadLetter) -> list[str]:
    if letter.payload is None:
        return [f"payload   {NOT_KEPT}"]
    try:
        data = base64.b64decode(letter.payload, validate=True)
    except (binascii.Error, ValueError):
        text = letter.payload.decode(errors="backslashreplace")
        return [f"payload   {len(letter.payload)} bytes, not base64:", escaped(text)]
    try:
        # It lays out the text and decodes nothing: numbers and names stay as they were sent.
        pretty = msgspec.json.format(data, indent=2)
        lines = (pretty if len(pretty) <= INDENTED_TIMES * len(data) else data).decode().split("\n")
    except UNREADABLE:
        text = data.decode(errors="backslashreplace")
        return [f"payload   base64 of {len(data)} bytes, not JSON:", escaped(text)]
    return [f"payload   base64 of {len(data)} bytes of JSON:", *map(escaped, lines)]
