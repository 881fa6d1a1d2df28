"""`python -m api audit`: who has read positions, and what for."""

from dataclasses import asdict
from typing import Annotated

import typer

from core.clock import format_rfc3339, parse_rfc3339
from runtime.rows import print_rows
from runtime.settings import CommonSettings
from state.audit import Question, questions
from state.client import Redis
from state.command import ask_redis


def _since(text: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def show(
    *,
    since: Annotated[
        int | None,
        typer.Option(parser=_since, metavar="TIME", help="From then on, RFC 3339.", show_default="all that is kept"),
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="ID", help="Of one API key alone, by its id.", show_default="of all")
    ] = None,
    lines: Annotated[bool, typer.Option("--json", help="One JSON object a line, for tools.")] = False,
) -> None:
    """List who has read positions or had a device forgotten, when, what for and what they were given.

    It is written where PRIVACY is not open; nobody who reads it, and nobody with an API key, can change it. The newest
    100,000 questions are kept; the log of the API has a line on each, too. A device stands there under the pseudonym by
    which its reader knew it.

    For example: `python -m api audit --since 2026-12-01T00:00:00Z --json`
    """

    async def work(client: Redis, _: CommonSettings) -> list[Question]:
        found = questions(client, since=since or 0)
        return [each async for each in found if key is None or each.key == key]

    rows = [asdict(each) | {"at": format_rfc3339(each.at)} for each in ask_redis(work, user="auditor")]
    headings = ["at", "key", "name", "purpose", "route", "asked", "shown", "given", "request"]
    print_rows(rows, headings, what="questions", lines=lines)
