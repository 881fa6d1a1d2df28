"""`python -m simulator watch`: who is there now, kept."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from runtime import command
from runtime.settings import kinds_or_exit, load_or_exit
from simulator.campus.counted import Counts, NoCountsError
from simulator.campus.present import looks
from simulator.campus.score_command import ScoreSettings

HELP = """Look at who is there now, again and again, and keep it as lines of JSON: for score --present, beside the
truth of a crowd that moves meanwhile.

\b
Example:
  python -m simulator watch present.ndjson --seconds 600
"""


def watch_command(
    file: Annotated[Path, typer.Argument(help="Where to write what was seen.", show_default=False)],
    *,
    api: Annotated[str, typer.Option(help="Where REST is.")] = "http://127.0.0.1:8080",
    seconds: Annotated[float, typer.Option(min=1, help="For how long.")] = 600,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between two looks.")] = 10,
) -> None:
    """Watch; the help above is what people read."""
    settings = load_or_exit(ScoreSettings)
    kinds = kinds_or_exit(settings)
    encoder = msgspec.json.Encoder()
    count = 0
    try:
        counts = Counts(api, key=settings.api_key.get_secret_value() if settings.api_key else None)
        with file.open("wb") as out:
            for look in looks(counts, kinds.ids, seconds=seconds, every=every):
                out.write(encoder.encode(look) + b"\n")
                count += 1
    except NoCountsError as error:
        command.fail(str(error))
    except OSError as error:
        command.fail(f"{file}: {error.strerror or error}")
    typer.echo(f"{file}: {count} looks")
