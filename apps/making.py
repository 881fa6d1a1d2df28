"""A new application is a copy of the example under another name, in both of its versions."""

import re
from pathlib import Path

EXAMPLE = "update-schuman"
EXAMPLE_ZONE = "schuman"
EXAMPLE_TITLE = "Update Schuman"
NAME = re.compile("[a-z][a-z0-9-]{0,31}", re.ASCII)
ZONE = re.compile("[A-Za-z0-9_.-]{1,64}", re.ASCII)
TAKEN = frozenset({"api", "broker", "kit", EXAMPLE})


class WrongNameError(ValueError):
    """No application can be called that; the text says why."""


def package_of(name: str) -> str:
    """The name of an application's Python package: `update-schuman` is `update_schuman`."""
    return name.replace("-", "_")


def make(folder: Path, name: str, zone: str) -> list[Path]:
    """Copy the example in `folder` (the one of this package) as an application `name` that follows `zone`; its files.

    Raises WrongNameError, and FileExistsError where there is one of this name.
    """
    if not NAME.fullmatch(name) or name in TAKEN or name.endswith("-"):
        raise WrongNameError(
            f"{name[:40]!r} is no name for an application: take a small letter, then small letters, digits and "
            f"hyphens, 32 at the most, and none of {', '.join(sorted(TAKEN))}"
        )
    if not ZONE.fullmatch(zone):
        raise WrongNameError(f"{zone[:40]!r} is no id of a zone: GET /v1/zones lists them")
    target = folder / package_of(name)
    target.mkdir()
    made = []
    example = folder / package_of(EXAMPLE)
    for source in sorted(path for path in example.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        path = target / source.relative_to(example).with_name(_renamed(source.name, name, zone))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_renamed(source.read_text(encoding="utf-8"), name, zone), encoding="utf-8")
        made.append(path)
    return made


def _renamed(text: str, name: str, zone: str) -> str:
    title = name.replace("-", " ").capitalize()
    for old, new in ((EXAMPLE, name), (package_of(EXAMPLE), package_of(name)), (EXAMPLE_TITLE, title)):
        text = text.replace(old, new)
    return re.sub(rf"\b{EXAMPLE_ZONE}\b", zone, text)
