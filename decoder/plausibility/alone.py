"""What a track shows by itself."""

import numpy as np

from decoder.plausibility.track import Track, length, metres

TELEPORTS = 3
"""Jumps in an hour: one wrong fix among right ones is two, there and back."""
MOST_ACCURACY = 100.0
"""Metres: a fix that is less accurate says too little of where the device was."""
ASSUMED_ACCURACY = 10.0
"""Metres, of fixes that do not tell."""

FROZEN_MS = 30 * 60_000
FROZEN_SPEEDS = 0.5
"""Metres a second between the lowest and the highest speed: more than a receiver that lies still makes up."""

PERFECT_FIXES = 50
PERFECT_METRES = 0.1
"""Off the straight line between its neighbours: receivers are metres off."""
PERFECT_SHARE = 0.5
"""Of the fixes: on a way with bends many are off the line. With 4 m of noise one in some hundreds is on it."""
MOVED_METRES = 2.0
"""From neighbour to neighbour: what stands still has no line to be off."""


def teleports(track: Track, most_speed: float) -> bool:
    """Whether it was in places too far apart, by more than their accuracy, again and again. Metres a second."""
    sure = track.only(~(track.accuracy > MOST_ACCURACY))
    accuracy = np.where(np.isnan(sure.accuracy), ASSUMED_ACCURACY, sure.accuracy)
    before, after = slice(None, -1), slice(1, None)
    far = metres(sure, before, after) - accuracy[before] - accuracy[after]
    seconds = (sure.at[after] - sure.at[before]) / 1000
    return int(np.count_nonzero(far > most_speed * seconds)) >= TELEPORTS


def is_frozen(track: Track) -> bool:
    """Whether it stayed in one very place for half an hour, while its speed changed."""
    same = track.fine()
    if len(same) < 2:  # noqa: PLR2004 - a stay has two ends
        return False
    moved = (np.diff(same.longitude) != 0) | (np.diff(same.latitude) != 0)
    for stay in np.split(np.arange(len(same)), np.flatnonzero(moved) + 1):
        speeds = same.speed[stay]
        speeds = speeds[np.isfinite(speeds)]
        if (
            same.at[stay[-1]] - same.at[stay[0]] >= FROZEN_MS
            and len(speeds)
            and speeds.max() - speeds.min() >= FROZEN_SPEEDS
        ):
            return True
    return False


def is_perfect(track: Track) -> bool:
    """Whether half of its fixes on the move, or more, lie where a straight line between their neighbours has them."""
    fine = track.fine()
    if len(fine) < PERFECT_FIXES:
        return False
    before, here, after = slice(None, -2), slice(1, -1), slice(2, None)
    whole = (fine.at[after] - fine.at[before]).astype(np.float64)
    share = np.divide(fine.at[here] - fine.at[before], whole, out=np.zeros_like(whole), where=whole > 0)
    east = fine.longitude[before] + (fine.longitude[after] - fine.longitude[before]) * share - fine.longitude[here]
    north = fine.latitude[before] + (fine.latitude[after] - fine.latitude[before]) * share - fine.latitude[here]
    off = length(east, north, fine.latitude[here])[metres(fine, before, after) >= MOVED_METRES]
    return len(off) >= PERFECT_FIXES and bool(np.mean(off <= PERFECT_METRES) >= PERFECT_SHARE)
