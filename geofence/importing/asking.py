"""What `--interactive` asks: only what no file says."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from geofence.importing.making import Made, Wishes, changed
from geofence.zones import capacity_from

MAX_ASKED = 50
"""Car parks whose capacity is asked for."""

Ask = Callable[[str, str], str]
"""Asks a person: the question, and what is taken where nothing is answered."""


def with_questions(wishes: Wishes, ask: Ask) -> Wishes:
    """The same wishes; which area is the outline is asked where it would be a guess."""

    def choose(likely: Sequence[str], why: str) -> int | None:
        listed = "\n".join(f"  {number}  {called}" for number, called in enumerate(likely, 1))
        question = f"Which area is the outline of the campus?\n  0  as found: {why}\n{listed}\nNumber"
        while not (answer := ask(question, "0").strip()).isdecimal() or int(answer) > len(likely):
            question = f"A number from 0 to {len(likely)}"
        return int(answer) - 1 if int(answer) else None

    return replace(wishes, choose=choose)


def with_answers(made: Made, ask: Ask, *, named: bool) -> Made:
    """The same campus, with its name, unless that is `named` already, and the capacities that a person knows."""
    known = made.campus.boundary.name
    name = known if named else ask("What is the campus called?", known).strip() or known
    capacities = {}
    for zone in made.unknown[:MAX_ASKED]:
        question = f"How many cars does {made.campus.by_id[zone].name} ({zone}) hold? Nothing, if you do not know"
        while answer := ask(question, "").strip():
            if (number := capacity_from(answer)) is not None:
                capacities[zone] = number
                break
            question = "A whole number, or nothing"
    return changed(made, name=name, capacities=capacities)
