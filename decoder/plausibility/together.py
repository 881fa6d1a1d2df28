"""What tracks show beside one another."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decoder.plausibility.track import METRES_A_UNIT, Track, Whole

REPLAYED_PLACES = 20
"""Places, of one other device: by chance no two phones are in a square centimetre twice."""
REPLAYED_MS = 1000
"""Later than the other: what is sent for two ids at once is no replay."""

LOCKSTEP_OTHERS = 5
LOCKSTEP_MOVES = 10
MOVE_UNITS = 10
"""Moves are compared in a tenth of a metre: each end of one is rounded to a centimetre."""
LEAST_METRES = 1.0


def replayed(tracks: Sequence[Track]) -> set[int]:
    """The tracks, by number, that were in the places of one and the same other, later than that one."""
    fine = [track.fine() for track in tracks]
    at, longitude, latitude, owner = _joined([(each.at, each.longitude, each.latitude) for each in fine])
    # By place, and there by time: whoever was there first is the one that was copied.
    order = np.lexsort((owner, at, latitude, longitude))
    at, longitude, latitude, owner = at[order], longitude[order], latitude[order], owner[order]
    place = _groups(longitude, latitude)
    first = np.flatnonzero(np.diff(place, prepend=-1))
    original, since = owner[first][place], at[first][place]
    copies = (owner != original) & (at - since >= REPLAYED_MS)
    # A device that is in a place twice is one copy of it.
    pairs = np.unique(np.column_stack((owner[copies], original[copies], place[copies])), axis=0)[:, :2]
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    return {int(copy) for copy, _ in found[counts >= REPLAYED_PLACES]}


def in_lockstep(tracks: Sequence[Track]) -> set[int]:
    """The tracks, by number, whose moves are those of several others, in the same seconds, again and again."""
    moves = []
    for track in tracks:
        fine = track.fine()
        east, north = np.diff(fine.longitude), np.diff(fine.latitude)
        moved = np.hypot(east, north) * METRES_A_UNIT >= LEAST_METRES
        moves.append(
            (
                fine.at[1:][moved] // 1000,
                np.rint(east[moved] / MOVE_UNITS).astype(np.int64),
                np.rint(north[moved] / MOVE_UNITS).astype(np.int64),
            )
        )
    second, east, north, owner = _joined(moves)
    order = np.lexsort((owner, north, east, second))
    second, east, north, owner = second[order], east[order], north[order], owner[order]
    move = _groups(second, east, north)
    once = np.flatnonzero(_changes(move, owner))
    move, owner = move[once], owner[once]
    with_others = np.bincount(move)[move] > LOCKSTEP_OTHERS if len(move) else np.zeros(0, dtype=bool)
    found, counts = np.unique(owner[with_others], return_counts=True)
    return {int(number) for number in found[counts >= LOCKSTEP_MOVES]}


def _joined(columns: Sequence[tuple[Whole, Whole, Whole]]) -> tuple[Whole, Whole, Whole, Whole]:
    """Three columns of all tracks, and which track each row is of."""
    none = np.zeros(0, dtype=np.int64)
    one, two, three = (np.concatenate([none, *(each[number] for each in columns)]) for number in range(3))
    owner = np.repeat(np.arange(len(columns), dtype=np.int64), [len(each[0]) for each in columns])
    return one, two, three, owner


def _groups(*columns: Whole) -> Whole:
    """The number of the group of each row: rows that are the same stand beside one another."""
    return np.cumsum(_changes(*columns), dtype=np.int64) - 1


def _changes(*columns: Whole) -> NDArray[np.bool_]:
    """Whether a row differs from the one before it."""
    changed = np.ones(len(columns[0]), dtype=bool)
    if len(changed):
        changed[1:] = np.logical_or.reduce([np.diff(column) != 0 for column in columns])
    return changed
