"""What a command lists: a table for people, or a JSON object a line for tools."""

import json
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_rows(rows: Sequence[Mapping[str, object]], headings: Sequence[str], *, what: str, lines: bool) -> None:
    """Print rows that have the same members, in the order of `headings`; `lines` for tools.

    `what` says in the plural what they are. A list is joined by commas; what is None never was.
    """
    if lines:
        for row in rows:
            sys.stdout.write(json.dumps(row) + "\n")
        return
    table = Table(*headings)
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    console = Console()
    console.print(table)
    console.print(f"{len(rows)} {what}", highlight=False)


def _cell(value: object) -> Text:
    # As a text: in a string, rich would look for mark-up.
    if isinstance(value, list):
        return Text(", ".join(map(str, value)))
    return Text("never" if value is None else str(value))
