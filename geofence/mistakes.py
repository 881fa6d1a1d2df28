"""What is wrong in a campus file: which feature, where in it, and what to do about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

ONE_BY_ONE = 3
"""So many mistakes of one kind have a line each; more of them share one."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, or that is hardly meant."""

    kind: str
    """What mistakes of the same sort share, in a word or two; reports are sorted by it."""
    problem: str
    """What is wrong, about an "it": the feature or the file."""
    remedy: str
    """What to do."""
    place: str = ""
    """Where in the feature, as a path of JSON such as `properties.capacity`; empty: the whole of it."""
    feature: str = ""
    """Which one, such as `'library' (number 2)`; empty: it is about the whole file."""

    def __str__(self) -> str:
        return f"{_named(self.feature, self.place)}{self.problem}: {self.remedy}"

    def of(self, feature: str) -> "Mistake":
        """The same one, in a feature that is known by now."""
        return replace(self, feature=feature)


class FeatureError(ValueError):
    """A feature, or its geometry, that cannot be used."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = mistakes


def sentences(mistakes: Iterable[Mistake]) -> Iterator[str]:
    """A line for each mistake, sorted by kind; where there are many of one kind, one for all of those."""
    for kind, group in groupby(sorted(mistakes, key=lambda mistake: mistake.kind), key=lambda mistake: mistake.kind):
        alike = list(group)
        if len(alike) <= ONE_BY_ONE:
            yield from (f"{kind}: {mistake}" for mistake in alike)
            continue
        first = alike[0]
        names = [mistake.feature or "the file" for mistake in alike[:ONE_BY_ONE]]
        yield (
            f"{kind}: {len(alike):,} times, in {', '.join(names)} and {len(alike) - len(names):,} more; "
            f"of the first: {_named('', first.place)}{first.problem}: {first.remedy}"
        )


def _named(feature: str, place: str) -> str:
    named = f"feature {feature}" if feature else ""
    where = ", ".join(part for part in (named, place) if part)
    return f"{where}: " if where else ""
