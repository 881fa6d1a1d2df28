"""`python -m backfill`: windows computed again from the position documents; `seed`: from a history that is given."""

from typing import Annotated

import typer

from backfill.recompute import Outcome
from backfill.report import BackfillSettings, check_archive, recompute, show
from backfill.seed_command import seed
from runtime import command
from runtime.settings import load_or_exit
from timeseries import open_store

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


app.command()(seed)


@app.callback(invoke_without_command=True)
def backfill(
    context: typer.Context,
    *,
    start: Annotated[
        str | None, typer.Option(help="Windows that have a part after this time, RFC 3339.", show_default=False)
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="Windows that have a part before this time, RFC 3339.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    lower: Annotated[bool, typer.Option("--lower", help="Lower figures also where documents may be missing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Go on although ARCHIVE=off; lowers nothing.")] = False,
) -> None:
    """Recompute windows from the position documents: all zones, kinds and widths that overlap the range.

    Whole windows: with a range of one minute, also the day that holds it. What is stored already and right is not
    written again, so that it can be repeated. A window without a device gets 0 if it has a point.

    Figures are not lowered where the documents may not be all there were: in windows before the oldest document of
    their month or before DOCUMENTS_KEEP, whose documents may have been dropped, and in those that ended within 48
    hours, whose positions may still wait to be archived. --lower does that, too.

    A day at a time, in the order of time; memory stays bounded however many documents there are. A store that goes away
    is waited for, ten minutes at the most. After that, Ctrl-C or a crash, go on where the last day that is done ends:
    it says with which --start.

    Example: python -m backfill --start 2019-02-18T00:00:00Z --end 2019-02-19T00:00:00Z --dry-run
    """
    if context.invoked_subcommand is not None:
        return
    for option, given in (("--start", start), ("--end", end)):
        if given is None:
            raise typer.BadParameter("it is missing", param_hint=option)
    start_ms, end_ms = command.time_range(str(start), str(end))
    settings = load_or_exit(BackfillSettings)
    check_archive(settings, force=force, lower=lower)

    async def work() -> Outcome:
        async with open_store(settings) as store:
            return await recompute(
                settings, store, start=start_ms, end=end_ms, lower=lower or (False if force else None), dry_run=dry_run
            )

    try:
        outcome = command.ask(work)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    show(outcome, dry_run=dry_run)


if __name__ == "__main__":
    command.run(app, name="backfill")
