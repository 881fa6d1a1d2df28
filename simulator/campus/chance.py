"""Chance that is the same at every run, on every machine, whoever asks first."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

One = TypeVar("One")


def chance(seed: int, *what: object) -> Random:
    """A source of its own for each thing that is left to chance, such as a device's noise on a day."""
    return Random(":".join(map(str, (seed, *what))))  # noqa: S311 - a crowd that can be had again, no secret


def between(source: Random, low: float, high: float) -> float:
    """A number from `low` to `high`, all as likely."""
    return low + (high - low) * source.random()


def likely(source: Random, probability: float) -> bool:
    """True as often as `probability` says."""
    return source.random() < probability


def one_of(source: Random, choices: Sequence[One], weights: Sequence[float] | None = None) -> One:
    """One of `choices`, those of a larger weight more often."""
    return source.choices(choices, weights)[0]
