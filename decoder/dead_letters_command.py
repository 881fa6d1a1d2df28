"""`python -m decoder dead-letters`: look at what could not be used, send it through once more, or remove it."""

import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress

from core.clock import parse_rfc3339
from core.errors import Reason
from decoder.dead_letters_output import as_json, described, group_as_json, row, show_groups, show_table
from decoder.explain import Group, Groups
from runtime.command import fail
from runtime.settings import CommonSettings
from state.client import Redis
from state.command import ask_redis
from state.dead_letters import BATCH, DeadLetters, Found, Which, is_letter_id

Answer = TypeVar("Answer")
app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""What could not be used, and why: look at it, send it through once more, or remove it.

    Without a command it lists. Payloads may hold device ids: they are personal data. They are kept only where each
    place in them is on the campus; of others there is the shape: names of members and types of values.
    """,
)


def _time(text: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _id(text: str) -> str:
    if not is_letter_id(text):
        raise typer.BadParameter("an id looks like 1772366400000-0: `dead-letters list` shows them")
    return text


MOST_ROWS = 10_000
"""Letters in one table, which is laid out as a whole; lines of JSON are written as they are read."""
Limit = Annotated[
    int,
    typer.Option(
        min=1, max=1_000_000, help=f"How many to list, the newest first; more than {MOST_ROWS} only with --json."
    ),
]
OfReason = Annotated[Reason | None, typer.Option(help="Only those of this reason.")]
Since = Annotated[
    int | None, typer.Option(parser=_time, metavar="TIME", help="Only those received at this time (RFC 3339) or later.")
]
Before = Annotated[
    int | None, typer.Option(parser=_time, metavar="TIME", help="Only those received before this time (RFC 3339).")
]
Lines = Annotated[bool, typer.Option("--json", help="One JSON object a line, for tools; payloads are whole.")]
OF_GROUPS = "One JSON object a line, for tools."
Ids = Annotated[list[str] | None, typer.Argument(parser=_id, metavar="[ID]...", help="Those with these ids.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@app.callback(invoke_without_command=True)
def default(
    context: typer.Context,
    limit: Limit = 20,
    reason: OfReason = None,
    since: Since = None,
    *,
    lines: Lines = False,
) -> None:
    """List, where no command says otherwise; the help above is what people read."""
    if context.invoked_subcommand is None:
        _list(limit, Which(reason=reason, since=since), lines=lines)


@app.command("list")
def list_letters(limit: Limit = 20, reason: OfReason = None, since: Since = None, *, lines: Lines = False) -> None:
    """List the newest dead letters: id, when it was received, on which topic, the reason, and the payload.

    For example:

    - `python -m decoder dead-letters list --reason not_json --since 2026-03-01T00:00:00Z`

    - `python -m decoder dead-letters list --limit 1000 --json | jq -r .payload`
    """
    _list(limit, Which(reason=reason, since=since), lines=lines)


@app.command()
def show(letter_id: Annotated[str, typer.Argument(parser=_id, metavar="ID", help="Its id, as listed.")]) -> None:
    """Show everything of one dead letter, its payload decoded.

    For example: `python -m decoder dead-letters show 1772366400000-0`
    """

    async def work(client: Redis, settings: CommonSettings) -> list[Found]:
        return await _letters(client, settings).named([letter_id])

    found = _ask(work)
    if not found:
        fail(f"{letter_id}: no such dead letter; it may have been replayed, dropped, or pushed out by newer ones")
    # What the terminal cannot write must not end the command.
    typer.echo(described(found[0]).encode(sys.stdout.encoding, "backslashreplace"))


@app.command()
def explain(since: Since = None, *, lines: Annotated[bool, typer.Option("--json", help=OF_GROUPS)] = False) -> None:
    """Say what is wrong with whose messages, and what to do about it: groups by app and fault, the newest first.

    The app is told from the shape of its messages, which is kept of all; the newest letter of a group is named.

    For example: `python -m decoder dead-letters explain --since 2026-03-01T00:00:00Z`
    """

    async def work(client: Redis, settings: CommonSettings) -> list[Group]:
        groups = Groups()
        async for letters in _chosen(_letters(client, settings), None, Which(since=since)):
            groups.take(letters)
        return groups.newest_first()

    found = _ask(work)
    if lines:
        sys.stdout.writelines(group_as_json(group) + "\n" for group in found)
    else:
        show_groups(Console(), found)


@app.command()
def replay(
    letter_ids: Ids = None,
    reason: OfReason = None,
    *,
    everything: All = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be replayed, and do nothing.")] = False,
) -> None:
    """Send messages through the decoder once more, say after a fix, with the topic, user and time they came with.

    A letter goes when its message is back in the stream; what is still bad becomes a dead letter again, with a new id.
    Where no payload was kept there is nothing to replay: such letters stay. To replay what was stored meanwhile does no
    harm.

    For example:

    - `python -m decoder dead-letters replay --reason bad_property --dry-run`

    - `python -m decoder dead-letters replay 1772366400000-0 1772366400000-1`
    """
    _one_choice(letter_ids, filtered=reason is not None, everything=everything)

    async def work(client: Redis, settings: CommonSettings) -> tuple[Counter[str], list[str]]:
        counts: Counter[str] = Counter()
        seen: set[str] = set()
        kept = _letters(client, settings)
        async for letters in _chosen(kept, letter_ids, Which(reason=reason)):
            seen.update(letter_id for letter_id, _ in letters)
            replayable = [found for found in letters if found[1].payload is not None]
            counts["without"] += len(letters) - len(replayable)
            counts["replayed"] += len(replayable) if dry_run else await kept.replay(replayable)
        return counts, [letter_id for letter_id in letter_ids or [] if letter_id not in seen]

    counts, absent = _ask(work)
    typer.echo(
        f"{counts['replayed']} {'would be ' if dry_run else ''}replayed, "
        f"{counts['without']} cannot be: their payload was not kept"
    )
    _end(absent, impossible=bool(letter_ids) and counts["without"] > 0)


@app.command()
def drop(
    letter_ids: Ids = None,
    reason: OfReason = None,
    before: Before = None,
    *,
    everything: All = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove dead letters for ever. It asks first.

    For example: `python -m decoder dead-letters drop --reason not_base64 --before 2026-03-01T00:00:00Z`
    """
    _one_choice(letter_ids, filtered=reason is not None or before is not None, everything=everything)
    which = Which(reason=reason, before=before)

    async def find(client: Redis, settings: CommonSettings) -> list[str]:
        kept = _letters(client, settings)
        return [letter_id async for letters in _chosen(kept, letter_ids, which) for letter_id, _ in letters]

    found = _ask(find)

    async def work(client: Redis, settings: CommonSettings) -> int:
        # These and no others: while somebody was being asked, more may have come.
        return sum([await _letters(client, settings).drop(ids) for ids in _batches(found)])

    if found and not yes:
        typer.confirm(f"Remove {len(found)} dead letters for ever?", abort=True)
    typer.echo(f"{_ask(work) if found else 0} dropped")
    _end([letter_id for letter_id in letter_ids or [] if letter_id not in found])


def _list(limit: int, which: Which, *, lines: bool) -> None:
    if limit > MOST_ROWS and not lines:
        raise typer.BadParameter(f"more than {MOST_ROWS} need --json", param_hint="--limit")

    async def write_lines(client: Redis, settings: CommonSettings) -> None:
        async for found in _newest(_letters(client, settings), which, limit):
            sys.stdout.write(as_json(found) + "\n")

    async def write_table(client: Redis, settings: CommonSettings) -> None:
        kept = _letters(client, settings)
        rows = [row(found) async for found in _newest(kept, which, limit)]
        show_table(Console(), rows, await kept.kept())

    _ask(write_lines if lines else write_table)


def _ask(work: Callable[[Redis, CommonSettings], Awaitable[Answer]]) -> Answer:
    return ask_redis(work, user="dead-letters", opens=True)


def _letters(client: Redis, settings: CommonSettings) -> DeadLetters:
    return DeadLetters(client, partitions=settings.partitions)


async def _newest(kept: DeadLetters, which: Which, limit: int) -> AsyncIterator[Found]:
    count = 0
    async for found in kept.newest(which):
        yield found
        count += 1
        if count == limit:
            return


async def _chosen(kept: DeadLetters, letter_ids: list[str] | None, which: Which) -> AsyncIterator[list[Found]]:
    """The letters that were asked for, in batches, with a progress bar where there are many and somebody looks."""
    if letter_ids:
        for batch in _batches(letter_ids):
            yield await kept.named(batch)
        return
    total = (await kept.kept()).kept
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal or total <= BATCH) as bar:
        task = bar.add_task("dead letters", total=total)
        async for letters in kept.batches(which):
            yield letters
            bar.advance(task, BATCH)


def _batches(letter_ids: list[str]) -> list[list[str]]:
    starts = range(0, len(letter_ids), BATCH)
    return [letter_ids[start : start + BATCH] for start in starts]


def _one_choice(letter_ids: list[str] | None, *, filtered: bool, everything: bool) -> None:
    if sum((bool(letter_ids), filtered, everything)) != 1:
        raise typer.BadParameter("say which: ids, or a filter such as --reason, or --all")


def _end(absent: list[str], *, impossible: bool = False) -> None:
    if absent:
        typer.echo(f"no such dead letter: {', '.join(absent)}", err=True)
    if absent or impossible:
        raise typer.Exit(1)
