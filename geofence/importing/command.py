"""`python -m geofence import`: files in, a campus file, a table and a picture out."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from geofence.importing.asking import Ask, with_answers, with_questions
from geofence.importing.found import CannotImportError, Found, UnknownCrsError
from geofence.importing.making import Made, Wishes, make_campus
from geofence.importing.picture import page
from geofence.importing.reading import read_file
from geofence.importing.report import left_out_lines, table


def import_files(
    files: Sequence[Path],
    out: Path,
    *,
    wishes: Wishes,
    crs: str | None,
    latitude_first: bool,
    picture: Path | None,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    ask: Ask | None,
) -> Made:
    """Make a campus of files, and write it to `out`; say what it is, and warn of what was left out.

    A file that is there already is kept beside it, with `.before` after its name. `ask` asks a person what no file
    says; None: nobody is there. Raises CannotImportError.
    """
    found: list[Found] = []
    for file in files:
        try:
            found += read_file(file, crs=crs, latitude_first=latitude_first)
        except UnknownCrsError as error:
            if ask is None:
                raise
            said = ask(f"{error}.\nWhat are they", "EPSG:3857")
            found += read_file(file, crs=said, latitude_first=latitude_first)
    try:
        made = make_campus(found, with_questions(wishes, ask) if ask else wishes)
        if ask is not None:
            made = with_answers(made, ask, named=wishes.name is not None)
    except CannotImportError as error:
        raise CannotImportError(f"{', '.join(map(str, files))}: {error}") from error
    _write(made, out, picture)
    for line in table(made):
        say(line)
    say(f"The outline: {made.why}.")
    for line in (*left_out_lines(made.left_out), *made.notes):
        warn(line)
    return made


def _write(made: Made, out: Path, picture: Path | None) -> None:
    """The campus file has a feature a line, so that people can edit it."""
    members = {key: value for key, value in made.collection.items() if key != "features"}
    head = json.dumps(members, ensure_ascii=False)[1:-1]
    features = ",\n".join(json.dumps(feature, ensure_ascii=False) for feature in made.collection["features"])
    written = [(out, f'{{{head}, "features": [\n{features}\n]}}\n')]
    if picture is not None:
        written.append((picture, page(made.campus, made.why)))
    for path, text in written:
        try:
            if path is out and path.is_file():
                path.replace(path.with_name(f"{path.name}.before"))
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CannotImportError(
                f"{path}: cannot write it: {error.strerror}. Check the path and its permissions"
            ) from error
