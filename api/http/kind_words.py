"""What the texts of the API say of kinds: made of their labels, in English."""

from collections.abc import Iterable, Sequence

from core.kinds import Kind, Kinds, listed


def capital(text: str) -> str:
    """With a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def article(text: str) -> str:
    """With "a" or "an" before it; right for most words."""
    return f"{'an' if text[:1].lower() in 'aeiou' else 'a'} {text}"


def many(kinds: Iterable[Kind], last: str = "and") -> str:
    """What they are called: "cars and phones"."""
    return listed((kind.many for kind in kinds), last)


def people(kinds: Kinds) -> list[Kind]:
    """Those that stand for people."""
    return [kind for kind in kinds if kind.person]


def ids(kinds: Kinds) -> str:
    """What they are called in requests: "car, or mobile for phones"."""
    named = (kind.id if kind.id == kind.one else f"{kind.id} for {kind.many}" for kind in kinds)
    return listed(named, "or", comma=True)


def one_of(kinds: Kinds) -> str:
    """One of any of them: "a car or a phone (mobile)"."""
    return listed(
        (article(kind.one) if kind.id == kind.one else f"{article(kind.one)} ({kind.id})" for kind in kinds), "or"
    )


def example(kinds: Kinds, *, person: bool = False) -> str:
    """The id of a kind for examples; of one that stands for a person where that is asked for and there is one."""
    first: Sequence[Kind] = (people(kinds) if person else []) or [*kinds]
    return first[0].id


def example_count(kind: Kind) -> int:
    """How many of a kind are somewhere, for examples."""
    return 118 if kind.person else 3
