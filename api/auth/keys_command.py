"""`python -m api keys`: who may do what is not for everybody."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from api.auth.keys import OF_PEOPLE, Keys, Scope, key_from, make_key, purpose_problem
from core.clock import format_rfc3339, system_clock
from core.names import name_problem
from core.versions import user_problem
from disclosure.policy import PrivacySettings
from runtime.command import fail
from runtime.rows import print_rows
from runtime.settings import load_or_exit
from state.command import ask_redis

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Keys of the API: who may do what is not for everybody.

    - `positions:exact` finds positions of devices, `positions:write` sends them

    - `positions:read` finds in which cells many devices were; where PRIVACY is open, positions as `positions:exact`

    - `admin` may do all that, and change zones and erase devices

    - `occupancy:read` reads zones and occupancy where API_PUBLIC_OCCUPANCY is false; every other key may, too

    Where PRIVACY is not open, whoever reads positions says what for (`--purpose`): it is written down with each
    question, and `python -m api audit` shows it.

    A key is shown once, and kept as a hash. A key that is removed is refused everywhere within a second.

    REDIS_URL or DATA_DIR say where Redis is.
    """,
)
Answer = TypeVar("Answer")


def _name(text: str) -> str:
    if problem := name_problem(text):
        raise typer.BadParameter(problem)
    return text


def _user(text: str) -> str:
    if problem := user_problem(text):
        raise typer.BadParameter(problem)
    return text


def _purpose(text: str) -> str:
    if problem := purpose_problem(text):
        raise typer.BadParameter(problem)
    return text


_Purpose = Annotated[
    str | None,
    typer.Option(
        parser=_purpose,
        metavar="TEXT",
        help="What positions are read for; needed for positions:read and positions:exact unless PRIVACY is open.",
        show_default=False,
    ),
]


def _check_purpose(scopes: list[Scope], purpose: str | None) -> None:
    wanted = sorted(OF_PEOPLE & set(scopes))
    if purpose or not wanted:
        return
    privacy = load_or_exit(PrivacySettings)
    if not privacy.policy.is_open:
        fail(
            f"{wanted[0]} needs --purpose, since PRIVACY is {privacy.privacy}: say what positions are read for, in a"
            " few words.",
            code=2,
        )


@app.command()
def add(
    scope: Annotated[list[Scope], typer.Option(help="What it is for; may be given several times.", show_default=False)],
    name: Annotated[str, typer.Option(parser=_name, metavar="NAME", help="Whose it is, for people.")] = "unnamed",
    user: Annotated[
        str | None,
        typer.Option(
            parser=_user,
            metavar="USER",
            help="The MQTT user whose versions of applications it gets; no right comes with it.",
            show_default="the key is a person of its own",
        ),
    ] = None,
    purpose: _Purpose = None,
) -> None:
    """Make a key, and print it: this once, on standard output.

    For example:

    - `python -m api keys add --scope positions:read --name "the parking app" --purpose "where cars gather"`

    - `curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8080/v1/positions`
    """
    _check_purpose(scope, purpose)
    made = make_key(name, scope, now=system_clock(), user=user or "", purpose=purpose or "")
    _with_keys(lambda keys: keys.add(made.key))
    typer.echo(f"added {made.key.id} with {', '.join(made.key.scopes)}; the key, which is kept nowhere:", err=True)
    typer.echo(made.text)


@app.command("import")
def import_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that holds the key alone.")],
    scope: Annotated[list[Scope], typer.Option(help="What it is for; may be given several times.", show_default=False)],
    name: Annotated[str, typer.Option(parser=_name, metavar="NAME", help="Whose it is, for people.")] = "unnamed",
    purpose: _Purpose = None,
) -> None:
    """Let in whoever has the key in a file, where a deployment makes its secrets itself. It prints no key.

    A key is `ck_`, 16 random hexadecimal digits, `_`, and 32 random bytes in base64url. Where it is known already,
    nothing changes, so this may be part of every start; a key that was removed comes back.

    For example: `python -m api keys import /run/secrets/api-key --scope admin --name "first admin"`
    """
    _check_purpose(scope, purpose)
    try:
        text = file.read_text(encoding="utf-8").strip()
        key = key_from(text, name, scope, now=system_clock(), purpose=purpose or "")
    except (OSError, ValueError) as error:
        fail(f"{file}: {error}", code=2)

    async def work(keys: Keys) -> bool:
        known = any(found.hash == key.hash for found, _ in await keys.all())
        if not known:
            await keys.add(key)
        return known

    typer.echo(f"{key.id} is {'known already' if _with_keys(work) else 'added'}")


@app.command("list")
def list_keys(
    *,
    lines: Annotated[bool, typer.Option("--json", help="One JSON object a line, for tools.")] = False,
) -> None:
    """List the keys, and when they were last used; never a hash.

    For example: `python -m api keys list --json | jq -r 'select(.last_used_at == null) | .id'`
    """
    found = _with_keys(lambda keys: keys.all())
    rows = [
        {
            "id": key.id,
            "name": key.name,
            "scopes": [str(scope) for scope in key.scopes],
            "user": key.user,
            "purpose": key.purpose,
            "created_at": format_rfc3339(key.created_at),
            "last_used_at": format_rfc3339(used) if used is not None else None,
        }
        for key, used in found
    ]
    print_rows(rows, ["id", "name", "scopes", "user", "purpose", "created", "last used"], what="keys", lines=lines)


@app.command()
def remove(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Their ids, as `list` shows them.")],
) -> None:
    """Remove keys. They are refused everywhere within a second.

    For example: `python -m api keys remove 5f0c3a1be2d94c77`
    """

    async def work(keys: Keys) -> list[str]:
        return [key_id for key_id in ids if not await keys.remove(key_id)]

    absent = _with_keys(work)
    typer.echo(f"{len(ids) - len(absent)} removed")
    if absent:
        fail(f"no such key: {', '.join(absent)}")


def _with_keys(work: Callable[[Keys], Awaitable[Answer]]) -> Answer:
    return ask_redis(lambda client, _: work(Keys(client, clock=system_clock)), user="keys-command")
