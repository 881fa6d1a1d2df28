"""`python -m broker users`: who may log in over MQTT."""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from broker.auth.passwords import generate_password, hash_password
from broker.auth.users import User, Users
from broker.auth.users_file import Row, UsersFileError, hashed, read_rows
from core.kinds import Kinds
from core.names import name_problem
from runtime.command import fail
from runtime.rows import print_rows
from runtime.settings import CommonSettings, kinds_or_exit, load_or_exit
from state.command import ask_redis

users_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Who may log in over MQTT, and as what.

    - the role of a device is its kind: `car` publishes to `car-iotp` and below it, `mobile` to `mobile-iotp`, others
      as KINDS_FILE has them; and to the topics of its kind in TOPIC_KINDS. It hears on `devices/NAME/refused` what it
      did wrong, where decoders have ECHO_REFUSALS

    - `gateway` publishes to the topics of all kinds

    - all of them may read the mirror of the REST resources, `v1/#`, and nothing else of others

    - `service` may do all: it is for programs of your own

    Passwords are kept as argon2id hashes. Whoever is removed or changed is disconnected within seconds, on every node.

    REDIS_URL or DATA_DIR say where Redis is.
    """,
)
Answer = TypeVar("Answer")


def _kinds() -> Kinds:
    return kinds_or_exit(load_or_exit(CommonSettings))


def _role(text: str) -> str:
    roles = [role.name for role in _kinds().user_roles]
    if text not in roles:
        raise typer.BadParameter(f"one of {', '.join(roles)}")
    return text


def _name(text: str) -> str:
    if problem := name_problem(text):
        raise typer.BadParameter(problem)
    return text


@users_app.command()
def add(
    name: Annotated[str, typer.Argument(parser=_name, metavar="NAME", help="Its MQTT user name; of a device, its id.")],
    role: Annotated[
        str,
        typer.Option(
            parser=_role, metavar="KIND|gateway|service", help="What it may do: a device, its kind.", show_default=False
        ),
    ],
    *,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, or ask for it there.")
    ] = False,
) -> None:
    """Create a user, or replace the one of that name: its role and its password.

    The password is a random one, on standard output, this once. There is no option for a password: others on the
    machine could read it.

    For example:

    - `python -m broker users add car-7 --role car`

    - `python -m broker users add reports --role service --password-stdin < password.txt`
    """
    password = _given_password() if password_stdin else generate_password()
    try:
        user = User(name, role, hash_password(password.encode()))
    except ValueError as error:
        fail(str(error), code=2)
    created = _with_users(lambda users: users.put([user]))
    typer.echo(f"{'added' if created else 'replaced'} {name} with the role {role}", err=True)
    if not password_stdin:
        typer.echo("its password, which is kept nowhere:", err=True)
        typer.echo(password)


@users_app.command()
def remove(
    names: Annotated[list[str], typer.Argument(parser=_name, metavar="NAME...", help="Their names.")],
) -> None:
    """Remove users. Their connections end within seconds.

    For example: `python -m broker users remove car-7 car-8`
    """

    async def work(users: Users) -> tuple[int, list[str]]:
        present = await users.get(names)
        return await users.remove(names), [name for name in names if name not in present]

    removed, absent = _with_users(work)
    typer.echo(f"{removed} removed")
    if absent:
        fail(f"no such user: {', '.join(absent)}")


@users_app.command("list")
def list_users(
    *,
    lines: Annotated[bool, typer.Option("--json", help="One JSON object a line, for tools.")] = False,
) -> None:
    """List the users and their roles; never a hash.

    For example: `python -m broker users list --json | jq -r 'select(.role == "service") | .name'`
    """
    found = _with_users(lambda users: users.all())
    rows = [{"name": user.name, "role": user.role} for user in found]
    print_rows(rows, ["name", "role"], what="users", lines=lines)


@users_app.command("import")
def import_users(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV in UTF-8, or - for standard input.")],
) -> None:
    """Create or replace users from a CSV file of lines `name,role,password`: all of them, or none.

    A password is plain, or an argon2id hash (`$argon2id$...`). Where a user has that role and that password already,
    nothing changes. Who is not in the file stays as he is.

    For example:

    - `python -m broker users import users.csv`

    - `printf 'car-7,car,%s' "$PASSWORD" | python -m broker users import -`
    """
    try:
        rows = _rows(file)
    except UsersFileError as error:
        fail("\n".join([*error.problems, "nothing was imported"]))

    async def work(users: Users) -> tuple[int, int]:
        present = await users.get([row.name for row in rows])
        # In a thread of its own: the connection to Redis is this loop's.
        made = await asyncio.to_thread(_hashed, rows, present)
        changed = [user for user in made if present.get(user.name) != user]
        return await users.put(changed), len(changed)

    created, changed = _with_users(work)
    typer.echo(f"{created} added, {changed - created} replaced, {len(rows) - changed} unchanged")


def _rows(file: Path) -> list[Row]:
    try:
        if str(file) == "-":
            # Not sys.stdin itself: its encoding is the terminal's.
            return read_rows(io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline=""), _kinds())
        with file.open(encoding="utf-8-sig", newline="") as text:
            return read_rows(text, _kinds())
    except OSError as error:
        raise UsersFileError([f"{file}: {error.strerror or error}"]) from error


def _hashed(rows: list[Row], present: dict[str, User]) -> list[User]:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=console, transient=True)
    with bar if console.is_terminal else nullcontext():
        task = bar.add_task("hashing passwords", total=len(rows))
        return list(hashed(rows, present, lambda: bar.advance(task)))


def _given_password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    try:
        return sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        fail("the password is not UTF-8", code=2)


def _with_users(work: Callable[[Users], Awaitable[Answer]]) -> Answer:
    return ask_redis(lambda client, _: work(Users(client)), user="users-command")
