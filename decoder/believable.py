"""What positions say of zones, and how surely: their distance from edges, in terms of how accurate they are."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decoder.rules import Rules
from geofence import Geofence
from payloads import Fix
from state.effect_parts import SURE, Said

LEAST_ACCURATE = 50.0
"""Metres: what is less accurate counts as so accurate where edges are concerned, so that few of them are near."""


def what_they_say(
    fence: Geofence,
    rules: Rules,
    fixes: Sequence[Fix],
    places: NDArray[np.float64],
    located: list[tuple[str, ...] | None],
) -> tuple[list[Said] | None, set[int]]:
    """What each position says of zones, None where all are sure; and which of those outside are not surely there.

    `places` has a row of longitude and latitude for each, and `located` is what the fence gives for them. It is not
    looked at whether one is too inaccurate to say anything.
    """
    if not rules.margin:
        return None, set()
    accuracy = np.array([fix.accuracy or rules.assumed_accuracy for fix in fixes], dtype=np.float64)
    reach = np.minimum(accuracy, LEAST_ACCURATE) * rules.margin
    margins = fence.margins(places[:, 0], places[:, 1], reach, located)
    outside = np.flatnonzero([zones is None for zones in located])
    near = fence.near_outline(places[outside, 0], places[outside, 1], reach[outside])
    return [_said(each) if each else () for each in margins], set(outside[near].tolist())


def _said(margins: tuple[tuple[str, float], ...]) -> Said:
    """In whole numbers: what is outside is below 0, what is inside is not."""
    return tuple([(zone, int(share * SURE) if share >= 0 else min(int(share * SURE), -1)) for zone, share in margins])
