"""A released count: a walk that follows a true count in steps, and so seldom that one device hardly ever moves it.

The walk has a *band* around the released count, of which nobody knows where it ends: its upper edge is drawn anew after
each step, and the lower one is as far below it as always. The released count moves by a whole step when the true count
has reached an edge. So all that is told of the true count is when it reached an edge that was drawn by lot.

One device more shifts the true count by one against the band, and a band that was drawn one higher would have told the
same: so one arrival tells at most 1 in `width`, whatever others do before and afterwards, until the next step. The
step must depend on nothing but the direction, and the two edges must move together: decision 66 has what happens else.
"""

from collections.abc import Callable

import msgspec

Draw = Callable[[int], int]
"""A number from 0 to below its argument, each as likely as the others: `secrets.randbelow`."""


class Walk(msgspec.Struct, frozen=True):
    """The state of one zone and kind. Only `released` may be read by anybody who shows counts."""

    released: int
    threshold: int
    """How far the upper edge is beyond the slack; the lower one is as far beyond it as is left of `width`. Secret."""


def slack_of(width: int) -> int:
    """How far each edge is from the released count at least.

    A third of the width: less costs steps, of which each tells something; more costs truth (decision 66).
    """
    return width // 3


def begun(*, width: int, draw: Draw) -> Walk:
    """The walk of a zone of which nothing has been told."""
    return Walk(released=0, threshold=draw(width))


def moved(walk: Walk, count: int, *, width: int, draw: Draw) -> Walk:
    """The walk after one slot, in which so many devices are truly there: the same one, or a step of `width` up or down.

    One step a slot at the most. A threshold that is none among so many is drawn anew; whoever keeps walks does so with
    all of them where the width is another (a setting that was changed).
    """
    if walk.threshold >= width:
        walk = Walk(walk.released, draw(width))
    above, slack = count - walk.released, slack_of(width)
    if above >= slack + walk.threshold:
        return Walk(walk.released + width, draw(width))
    if -above >= slack + width - 1 - walk.threshold:
        return Walk(max(0, walk.released - width), draw(width))
    return walk


def shown(released: int, least: int) -> int | None:
    """A released count as it is shown; None below `least` (PRIVACY_MIN_COUNT), which protects nobody by itself."""
    return released if released >= least else None
