"""Users from a CSV file: name, role, password."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from broker.auth.passwords import HASH_PREFIX, MAX_PASSWORD_BYTES, hash_password, hash_problem, matches
from broker.auth.users import User
from core.kinds import Kinds
from core.names import name_problem

HEADER = ["name", "role", "password"]
MAX_USERS = 100_000
"""In one file."""
MAX_PROBLEMS = 20
"""So many are told; after that nobody reads on."""


class UsersFileError(Exception):
    """A file that cannot be imported; its `problems` begin with their line, and never quote a password."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Row:
    """One user of a file."""

    name: str
    role: str
    """The name of a role."""
    password: str = field(repr=False)
    """As it is, or as an argon2id hash in PHC form."""

    def user(self, present: User | None) -> User:
        """The user with its password hashed; `present`, where that one has this role and this password already."""
        if self.password.startswith(HASH_PREFIX):
            return User(self.name, self.role, self.password)
        password = self.password.encode()
        # A new hash of the same password would end the user's connections for nothing.
        if present is not None and matches(password, present.password):
            return User(self.name, self.role, present.password)
        return User(self.name, self.role, hash_password(password))


def read_rows(lines: Iterable[str], kinds: Kinds) -> list[Row]:
    """The users of a CSV file, with or without a header. Raises UsersFileError, which tells all that is wrong."""
    rows: dict[str, Row] = {}
    problems: list[str] = []
    for line, row in _read(lines, kinds):
        if isinstance(row, str):
            problems.append(f"line {line}: {row}")
        elif row.name in rows:
            problems.append(f"line {line}: the name is there twice")
        else:
            rows[row.name] = row
        if len(rows) > MAX_USERS:
            problems.append(f"line {line}: more than {MAX_USERS:,} users: split the file")
            break
        if len(problems) == MAX_PROBLEMS:
            problems.append("and perhaps more")
            break
    if problems or not rows:
        raise UsersFileError(problems or ["no users in it"])
    return list(rows.values())


def hashed(rows: list[Row], present: Mapping[str, User], progress: Callable[[], None]) -> Iterator[User]:
    """The users of a file, in any order, hashed by all cores; `progress` is called after each.

    `present` are those of them that there are.
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        for done in as_completed([threads.submit(row.user, present.get(row.name)) for row in rows]):
            progress()
            yield done.result()


def _read(lines: Iterable[str], kinds: Kinds) -> Iterator[tuple[int, Row | str]]:
    """The number of each line, and its user, or what is wrong with it."""
    roles = [role.name for role in kinds.user_roles]
    reader = csv.reader(lines, strict=True)
    first = True
    try:
        for cells in reader:
            if cells and not (first and [cell.strip().lower() for cell in cells] == HEADER):
                yield reader.line_num, _row(cells, roles)
            first = False
    except csv.Error:
        # Its own words may quote what is in the line.
        yield reader.line_num, "not CSV: a quote that is not closed, or one in the middle?"
    except UnicodeDecodeError:
        yield reader.line_num + 1, "this line, or one after it, is not UTF-8"


def _row(cells: list[str], roles: list[str]) -> Row | str:
    if len(cells) != len(HEADER):
        return f"{len(cells)} columns: name,role,password are wanted (quote a password that has a comma)"
    name, role, password = cells[0].strip(), cells[1].strip(), cells[2]
    problem = name_problem(name)
    if role not in roles:
        problem = problem or f"the role is none of {', '.join(roles)}"
    if password.startswith(HASH_PREFIX):
        problem = problem or hash_problem(password)
    elif not 1 <= len(password.encode(errors="replace")) <= MAX_PASSWORD_BYTES:
        problem = problem or f"a password has 1 to {MAX_PASSWORD_BYTES} bytes"
    return problem or Row(name, role, password)
