"""The privacy notice as a page: `notice.md`, with what the settings say of this system."""

import html
import re
from dataclasses import dataclass
from pathlib import Path

from api.privacy import furthest
from disclosure.policy import Policy, PrivacySettings

OPEN = PrivacySettings(privacy_min_count=0).policy
TEXT = Path(__file__).parent / "notice.md"
NOBODY = (
    "Who runs this system has not said who they are. They do so with PRIVACY_CONTACT: name, how to reach them, their "
    "data protection officer, and on which ground they process."
)
ASKED = (
    " A key says what for; each time that it is used for that, it is written down which key, when, what for and what"
    " was asked. It is told other codes, new ones each day; some keys only how many devices were in a place of some"
    " 150 m in a quarter of an hour, where they were many."
)
_MEASURED = {130: ("26, 49 and 52", "40, 126 and 122"), 240: ("26, 98 and 85", "40, 141 and 243")}
"""By width of zones, with that of the campus as the profile has it: decision 66, "what protected costs", of now."""
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeOptions:
    """What of the settings the notice tells."""

    contact: str = ""
    """Who answers for it, as plain text (PRIVACY_CONTACT); empty where nobody said so."""
    public: bool = True
    """Whether counts are given without a key (API_PUBLIC_OCCUPANCY)."""
    policy: Policy = OPEN
    """How much is told of counts (PRIVACY and what is set beside it)."""
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
        "counts": "\n- ".join(counts_told(options.policy)),
        "flows": f"where they are computed, none of fewer than {options.flows_least} devices in an hour"
        if options.policy.is_open
        else "they are told to nobody but who runs the system",
        "asked": "" if options.policy.is_open else ASKED,
        "kept": f"{days} days after their day, and then they are dropped" if days else "no limit is set, so for ever",
    }
    text = _PLACE.sub(lambda found: told[found[1]], TEXT.read_text(encoding="utf-8"))
    return _PAGE.format(body="\n".join(_html(block) for block in text.strip().split("\n\n")))


def counts_told(policy: Policy) -> list[str]:
    """What is told of counts, what it is worth, and what it costs: sentences for people."""
    if policy.is_open:
        least = f"under {policy.least} none is shown" if policy.least else "all are shown, small ones too"
        watched = "somebody who watches a nearly empty building may see that one person came or went"
        return [
            f"Counts of what stands for people: {least}. Counts are of real devices, without noise: {watched}.",
        ]
    most, later, of_campus = policy.most_of_an_arrival(), 1 / policy.width, 1 / policy.campus_width
    few = "too few to tell" if policy.least else "nobody"
    what = (
        f"No count that is shown is the true one (PRIVACY={policy.profile}). Each follows the true one in steps of"
        f" {policy.width}, on the campus as a whole of {policy.campus_width}, when that has reached an edge which was"
        " drawn by lot."
    )
    worth = (
        f"What that is worth: one arrival makes all that is shown at most {most:.1%} likelier or less likely, in a"
        " place that one zone holds, for somebody who knows all others and has twenty devices of their own. Each later"
        f" step of a count while you are there adds {later:.1%}, of the campus {of_campus:.1%}. It is said of"
        " one arrival: five visits are five, and a phone and a car are two."
    )
    cost = (
        f"What it costs: the true count of a zone is nearer to the one shown than {furthest(policy.width)}, of the"
        f" campus than {furthest(policy.campus_width)}; a zone where fewer are may be shown as {few}."
    )
    told = [what, worth, cost]
    if measured := _MEASURED.get(policy.width):
        told.append(
            "So far off were counts of zones on days that were made up, with at most 40, 150 and 600 devices at once:"
            f" by {measured[0]} on average, and nineteen of twenty by less than {measured[1]}."
        )
    return told


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
