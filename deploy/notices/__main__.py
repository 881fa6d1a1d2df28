"""`python -m deploy.notices`: write the table of THIRD-PARTY-NOTICES.md, from the lock files and what is installed."""

from email.message import Message
from importlib.metadata import metadata
from pathlib import Path
from typing import cast

from deploy.notices.licences import licence_of
from deploy.notices.locked import IMAGES, in_images

ROOT = Path(__file__).resolve().parents[2]
NOTICES = ROOT / "THIRD-PARTY-NOTICES.md"
BEGIN = "<!-- written by `make notices`: do not edit -->\n"
END = "<!-- until here -->\n"


def table(requirements: Path = ROOT / "requirements") -> str:
    """The Python packages of the images as Markdown: name, version, licence, images.

    Raises UnknownLicenceError, and PackageNotFoundError for what is locked and not installed.
    """
    rows = ["| package | version | licence | images |", "|---|---|---|---|"]
    for package, images in in_images(requirements).items():
        where = "all" if len(images) == len(IMAGES) else ", ".join(images)
        rows.append(f"| {package.name} | {package.version} | {licence_of(_metadata(package.name))} | {where} |")
    return "\n".join(rows) + "\n"


def _metadata(name: str) -> Message:
    # A message of e-mail, as the format of metadata is defined; typed as less.
    return cast("Message", metadata(name))


def with_table(text: str, rows: str) -> str:
    """The notices with another table between their two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{rows}\n{END}{after}"


if __name__ == "__main__":
    NOTICES.write_text(with_table(NOTICES.read_text(), table()))
    print(f"{NOTICES.name} is written")  # noqa: T201 - it is a command
