"""Marks: what is hard to believe of what a device sent. A mark is a hint: nothing that is counted depends on it."""

from enum import StrEnum


class Mark(StrEnum):
    """Why a device is marked in an hour. `state.marks` keeps them by their order here: a new one goes to the end."""

    TELEPORT = "teleport"
    """It was in places that are too far from one another for the time between."""
    REPLAYED = "replayed"
    """It was in the very places where another device had been before."""
    LOCKSTEP = "lockstep"
    """It made the very moves of several others, in the same seconds."""
    FROZEN = "frozen"
    """It stayed in one very place, while it said that its speed changed."""
    PERFECT = "perfect"
    """It moved without the noise that every receiver has."""
