"""The file of a laptop's demo users: `make run` writes it at its first start, `make replay` logs in with it."""

import csv
import io
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

DEMO_USERS = "demo-users.csv"
"""The file in DATA_DIR, in the form that `python -m broker users import` reads."""
_COLUMNS = 3


@dataclass(frozen=True, slots=True)
class DemoUser:
    """A user whose password everybody may read who may read DATA_DIR."""

    name: str
    role: str
    password: str = field(repr=False)


def demo_name(role: str) -> str:
    """The name of the demo user with this role."""
    return f"demo-{role}"


def to_csv(users: Iterable[DemoUser]) -> str:
    """The users as lines of `name,role,password`."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((user.name, user.role, user.password) for user in users)
    return text.getvalue()


def keep_demo_users(folder: Path, users: Iterable[DemoUser]) -> Path:
    """Write the file, for its owner alone, in place of an older one; its path. Raises OSError."""
    path = folder / DEMO_USERS
    draft = folder / f".{DEMO_USERS}.{os.getpid()}"
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(to_csv(users))
    return draft.replace(path)


def kept_demo_users(folder: Path) -> list[DemoUser]:
    """The users of the file; none where it is missing or cannot be read."""
    users = []
    with suppress(OSError, ValueError, csv.Error), (folder / DEMO_USERS).open(newline="") as file:
        users = [DemoUser(row[0], row[1], row[2]) for row in csv.reader(file) if len(row) == _COLUMNS]
    return users
