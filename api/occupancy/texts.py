"""What the OpenAPI document says of the members of a body that follow from the counts of all kinds."""

from api.http.kind_words import article, capital, many, people
from core.kinds import Kinds, listed


def total(kinds: Kinds) -> str:
    """Of `total`."""
    counted = f"{capital(many(kinds))} together" if len(kinds) > 1 else f"All {many(kinds)}"
    withheld = [f"the {kind.many}" for kind in people(kinds)]
    return f"{counted}; null where {listed(withheld, 'or')} are." if withheld else f"{counted}."


def capacity(kinds: Kinds) -> str:
    """Of `capacity`."""
    taken = [f"{counted} in {where}" for where, counted in _takers(kinds).items()]
    return f"{', '.join(['How many the zone can hold', *taken])}; null where none is set."


def percentage(kinds: Kinds) -> str:
    """Of `percentage`."""
    taken = [f"in {where} the {counted}" for where, counted in _takers(kinds).items()]
    counted = ", ".join([*taken, "elsewhere the total"]) if taken else "the total"
    return (
        f"How full it is, per cent of the capacity: {counted}. It can exceed 100; null where no capacity is set, and "
        "where it would tell a suppressed count."
    )


def suppressed(kinds: Kinds) -> str:
    """Of `suppressed`."""
    withheld = people(kinds)
    if not withheld:
        return "Always false: nothing that is counted stands for a person."
    return (
        f"Whether there are too few {many(withheld, 'or')} to say how many, so that nobody can be told apart by them."
    )


def observed_at(kinds: Kinds) -> str:
    """Of `observed_at`."""
    said = "Time of the newest position of those present, RFC 3339, UTC; null where nobody is."
    withheld, others = people(kinds), [kind for kind in kinds if not kind.person]
    if not withheld:
        return said
    if len(withheld) == 1 and others:
        return f"{said} Of {many(others)} alone where {many(withheld)} are suppressed."
    return f"{said} Without the kinds that are suppressed."


def _takers(kinds: Kinds) -> dict[str, str]:
    """What takes up the capacity of a zone, by its category in words: "a car park" -> "cars"."""
    categories = dict.fromkeys(category for kind in kinds for category in sorted(kind.capacity_of))
    return {
        article(category.replace("_", " ")): many([kind for kind in kinds if category in kind.capacity_of])
        for category in categories
    }
