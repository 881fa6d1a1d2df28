"""`python -m backup`: save, list, restore, and erase again."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field, SecretStr
from rich.console import Console
from rich.table import Table

from backup.catalogue import Catalogue
from backup.erasures import read_ids
from backup.manifest import What
from backup.place import open_place
from backup.progress import Shown
from backup.repeating import repeat
from backup.restore_command import restore
from backup.save_command import save
from backup.sealing import DamagedError
from backup.settings import BackupPlaceSettings
from core.clock import format_rfc3339
from core.errors import BadSettingsError
from runtime.command import ask, fail, run
from runtime.settings import Settings, load_or_exit

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Backups of Redis, the position documents and the time series: encrypted, to object storage or a folder.

    BACKUP_URL says where they are (`s3://bucket/prefix`, `file:///a/folder`), BACKUP_KEY what opens them. What is saved
    is where REDIS_URL, DOCUMENT_STORE and TIMESERIES_STORE say. Backups are personal data. The key of the device
    hashes, DEVICE_KEY, is in none of them: keep it, and BACKUP_KEY, somewhere else.

    For example, with S3_ENDPOINT, S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY of the bucket:

    - `BACKUP_URL=s3://campus-backups/main python -m backup save`

    - `BACKUP_URL=s3://campus-backups/main python -m backup list`
    """,
)
app.command()(save)
app.command()(restore)


class EraseSettings(Settings):
    """What erasing again must not be told on the command line, where others can read it."""

    api_key: SecretStr = Field(default=SecretStr(""), description="An API key of scope `admin`.")


@app.command(name="list")
def list_() -> None:
    """List the backups that are complete, the newest first.

    A backup whose making was interrupted is none, and is not listed. One that was made with another BACKUP_KEY is, and
    says so.
    """
    settings = load_or_exit(BackupPlaceSettings)
    table = Table("what", "id", "begun", "records", "bytes", "since when erasures count")
    for column in table.columns[3:5]:
        column.justify = "right"

    async def read() -> None:
        catalogue = Catalogue(open_place(settings), settings.key)
        for what in What:
            for backup_id in await catalogue.ids(what):
                try:
                    found = await catalogue.read(what, backup_id)
                except DamagedError as error:
                    table.add_row(what, backup_id, str(error))
                    continue
                table.add_row(
                    what,
                    backup_id,
                    format_rfc3339(found.begun_at),
                    f"{found.records:,}",
                    f"{found.size:,}",
                    format_rfc3339(found.oldest_at),
                )

    ask(read)
    if not table.row_count:
        fail("there is no backup yet: python -m backup save")
    Console(width=None if Console().is_terminal else 140).print(table)


@app.command()
def erase(
    file: Annotated[Path, typer.Argument(help="Ids of devices that were erased, one a line, as they call themselves.")],
    *,
    api: Annotated[str, typer.Option(help="Address of the API of the restored system, which runs.")],
) -> None:
    """Erase devices again in a restored system that runs, by its API: the last step of a restore.

    `restore --erased FILE` has left their documents out, and where they are. What waited in streams and queues when the
    backup was made names devices otherwise: the API finds it. It may be repeated. API_KEY is a key of scope `admin`.

    For example: `API_KEY=ck_... python -m backup erase erased.txt --api http://127.0.0.1:8080`
    """
    settings = load_or_exit(EraseSettings)

    async def work() -> int:
        ids = read_ids(file)
        key = settings.api_key.get_secret_value()
        if not key:
            raise BadSettingsError("API_KEY: missing: a key of scope `admin`")
        with Shown() as shown:
            await repeat(api, key, ids, shown)
        return len(ids)

    typer.echo(f"{ask(work):,} devices were erased again.")


if __name__ == "__main__":
    # obstore's threads give Python the last answers, and may not be done with that when it is over.
    run(app, name="backup", foreign_threads=True)
