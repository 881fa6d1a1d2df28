"""The lifetime counts, as Redis keeps them."""

from collections.abc import Mapping


def lifetime_counts(totals: Mapping[bytes, bytes]) -> dict[str, int]:
    """By name, in alphabetical order. What is no count, for no service of ours wrote it, is left out."""
    found = {}
    for name, count in totals.items():
        try:
            found[name.decode()] = int(count)
        except ValueError:
            continue
    return dict(sorted(found.items()))
