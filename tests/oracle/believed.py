"""In which zones a device is present, in the plainest way, from all that it ever sent (decision 37)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SURE = 96


@dataclass(frozen=True, slots=True)
class Said:
    """What one fix on the campus says."""

    at: int
    zones: tuple[str, ...]
    """Those that hold it, the campus first."""
    margins: tuple[tuple[str, int], ...] | None = ()
    """Nothing: it is sure. None: it is no evidence, only a time."""


def believed(  # noqa: C901, PLR0912 - in one piece, to be read from top to bottom
    said: Iterable[Said], outside: Iterable[int] = (), *, fixes: int, keep: int, ttl: int
) -> tuple[str, ...] | None:
    """The zones that count as its own, the campus first; None where it is outside."""
    left_at = max(outside, default=-1)
    inside = [each for each in said if each.at >= left_at]
    if not inside:
        return None
    newest = max(each.at for each in inside)
    campus = inside[0].zones[0]
    by_time: dict[int, Said] = {}
    for each in inside:
        if each.margins is not None:
            other = by_time.get(each.at)
            if other is None or _rank(each) > _rank(other):
                by_time[each.at] = each
    evidence = sorted(by_time.values(), key=lambda each: each.at, reverse=True)
    # The newest that are not sure, back to the newest that is.
    anchor, kept = None, []
    for each in evidence:
        if not each.margins:
            anchor = each
            break
        kept.append(each)
    kept = kept[:keep]
    # Back to a pause in which the device was not present.
    trusted, after = [], newest
    for each in kept:
        if after - each.at > ttl:
            break
        trusted.append(each)
        after = each.at
    if anchor is not None and (len(trusted) < len(kept) or after - anchor.at > ttl):
        anchor = None
    trusted.reverse()
    found = []
    for zone in sorted({zone for each in (*trusted, anchor) if each for zone in each.zones[1:]}):
        inside_it = None if anchor is None else zone in anchor.zones
        margins = [dict(each.margins or ()).get(zone, -SURE) for each in trusted]
        run = 0
        for index, margin in enumerate(margins):
            before = margins[index - 1] if index else None
            same_side = before is not None and (before >= 0) == (margin >= 0)
            run = run + 1 if same_side else 1
            together = abs(margin) + (abs(before) if same_side and before is not None else 0)
            if together >= SURE or run >= fixes:
                inside_it = margin >= 0
        if inside_it is None:
            inside_it = len(margins) < keep and margins[0] >= 0
        if inside_it:
            found.append(zone)
    return (campus, *found)


def _rank(said: Said) -> tuple[bool, str, Sequence[tuple[str, int]]]:
    return not said.margins, ",".join(said.zones), said.margins or ()
