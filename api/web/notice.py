"""The privacy notice as a page: `notice.md`, with what the settings say of this system."""

import html
import re
from dataclasses import dataclass
from pathlib import Path

TEXT = Path(__file__).parent / "notice.md"
NOBODY = (
    "Who runs this system has not said who they are. They do so with PRIVACY_CONTACT: name, how to reach them, their "
    "data protection officer, and on which ground they process."
)
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeOptions:
    """What of the settings the notice tells."""

    contact: str = ""
    """Who answers for it, as plain text (PRIVACY_CONTACT); empty where nobody said so."""
    public: bool = True
    """Whether counts are given without a key (API_PUBLIC_OCCUPANCY)."""
    min_count: int = 0
    """Of people, below which counts are kept back (PRIVACY_MIN_COUNT); 0 where none is."""
    flows_least: int = 5
    """Devices below which flows and visits are kept back."""
    documents_keep: str = ""
    """How long positions are kept (DOCUMENTS_KEEP), such as 90d; empty for ever."""


def notice_page(options: NoticeOptions) -> str:
    """The page, as HTML without scripts."""
    days = options.documents_keep.removesuffix("d")
    told = {
        "contact": options.contact or NOBODY,
        "public": "everybody may see them" if options.public else "only those who were given a key see them",
        "least": f"under {options.min_count} none is shown" if options.min_count else "all are shown, small ones too",
        "flows": str(options.flows_least),
        "kept": f"{days} days after their day, and then they are dropped" if days else "no limit is set, so for ever",
    }
    text = _PLACE.sub(lambda found: told[found[1]], TEXT.read_text(encoding="utf-8"))
    return _PAGE.format(body="\n".join(_html(block) for block in text.strip().split("\n\n")))


def _html(block: str) -> str:
    """A heading, a list, or a paragraph of the few things that the notice is made of."""
    text = html.escape(block)
    if block.startswith("## "):
        return f"  <h2>{text[3:]}</h2>"
    if block.startswith("# "):
        return f"  <h1>{text[2:]}</h1>"
    if block.startswith("- "):
        items = "\n".join(f"    <li>{line[2:]}</li>" for line in text.splitlines())
        return f"  <ul>\n{items}\n  </ul>"
    return f"  <p>{text}</p>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Privacy notice</title>
  <link rel="icon" href="static/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="static/docs.css">
</head>
<body>
  <p><a href="./">Live map</a></p>
{body}
</body>
</html>
"""
