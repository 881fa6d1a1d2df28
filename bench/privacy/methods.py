"""Ways to tell a count. Each makes of true counts, slot by slot, what is published."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from bench.privacy import refused
from bench.privacy.crowd import Counts
from disclosure import walk

State = TypeVar("State", refused.State, walk.Walk)
FIVE = 5
"""What PRIVACY_MIN_COUNT may be."""
Release = Callable[[Counts, np.random.Generator], Counts]


@dataclass(frozen=True, slots=True)
class Method:
    """One way to tell counts."""

    name: str
    zone: Release
    campus: Release
    plain: Callable[[Counts], Counts] | None = None
    """What would be told of a count if there were no chance in it: what an attacker compares with."""
    every: int = 1
    """Slots between two counts that are looked at."""
    widths: tuple[int, int] | None = None
    """Of zone and campus, where it is the walk of `disclosure.walk`."""


def methods(*, quick: bool) -> list[Method]:
    """All that are compared."""
    simple = [
        _alike("exact from 5 on", lambda counts, _: _from_five(counts), _from_five),
        _alike("rounding to 5", lambda counts, _: _rounded(counts, 5), partial(_rounded, to=5)),
        _alike("rounding to 10", lambda counts, _: _rounded(counts, 10), partial(_rounded, to=10)),
        _alike("cell key by count, ± 2", partial(_cell_key, most=2)),
        _alike("cell key by count, ± 5", partial(_cell_key, most=5)),
        _alike("noise anew each slot, ± 5", partial(_noise, most=5, slots=1)),
        _alike("noise anew each slot, ± 25", partial(_noise, most=25, slots=1)),
        _alike("a value each 15 min, ± 10", partial(_noise, most=10, slots=30), every=30),
        _alike("a value each 15 min, ± 25", partial(_noise, most=25, slots=30), every=30),
    ]
    tens = partial(_rounded, to=10)
    jumps = [
        _alike("threshold, then a jump to the rounded truth, W = 70", partial(_jumped, width=70), tens),
        *(
            Method(
                f"moves by the threshold, shown in tens, W = {width}, {2 * width}",
                partial(_followed, width=width),
                partial(_followed, width=2 * width),
                tens,
            )
            for width in ((95,) if quick else (30, 50, 70, 95))
        ),
    ]
    return [
        *simple,
        *jumps,
        *(walk_of(width, 3 * width) for width in ((130,) if quick else (40, 60, 80, 100, 130, 240))),
    ]


def walk_of(width: int, campus: int) -> Method:
    """The real one."""
    return Method(
        f"walk, W = {width}, {campus}",
        partial(_walk, width=width),
        partial(_walk, width=campus),
        widths=(width, campus),
    )


def _alike(name: str, release: Release, plain: Callable[[Counts], Counts] | None = None, *, every: int = 1) -> Method:
    return Method(name, release, release, plain, every)


def _from_five(counts: Counts) -> Counts:
    # The middle of what may be meant by "fewer than five".
    return np.asarray(np.where(counts < FIVE, FIVE // 2, counts), np.int64)


def _rounded(counts: Counts, to: int) -> Counts:
    return (counts + to // 2) // to * to


def _cell_key(counts: Counts, rng: np.random.Generator, *, most: int) -> Counts:
    """Noise that a count has for ever: of each trial, for nobody attacks two keys."""
    noise = rng.integers(-most, most + 1, (len(counts), int(counts.max()) + 1))
    return np.asarray(np.maximum(0, counts + np.take_along_axis(noise, counts, axis=1)), np.int64)


def _noise(counts: Counts, rng: np.random.Generator, *, most: int, slots: int) -> Counts:
    """Noise anew whenever a value is told, which is each so many slots."""
    held = counts[:, np.arange(counts.shape[1]) // slots * slots]
    drawn = rng.integers(-most, most + 1, (len(counts), -(-counts.shape[1] // slots)))
    return np.asarray(np.maximum(0, held + np.repeat(drawn, slots, axis=1)[:, : counts.shape[1]]), np.int64)


def _jumped(counts: Counts, rng: np.random.Generator, *, width: int) -> Counts:
    return _each(counts, rng, refused.begun, refused.jumped, width)


def _followed(counts: Counts, rng: np.random.Generator, *, width: int) -> Counts:
    return np.maximum(0, _rounded(_each(counts, rng, refused.begun, refused.followed, width), 10))


def _walk(counts: Counts, rng: np.random.Generator, *, width: int) -> Counts:
    return _each(counts, rng, walk.begun, walk.moved, width)


def _each(
    counts: Counts,
    rng: np.random.Generator,
    begun: Callable[..., State],
    moved: Callable[..., State],
    width: int,
) -> Counts:
    """Row by row, with the code that releases."""
    # A source with a seed, for figures are to be measured again; what releases has one that nobody can know.
    draw = random.Random(int(rng.integers(1 << 62))).randrange  # noqa: S311
    told = np.empty(counts.shape, np.int64)
    for row, trial in enumerate(counts.tolist()):
        state = begun(width=width, draw=draw)
        released = []
        for count in trial:
            state = moved(state, count, width=width, draw=draw)
            released.append(state.released)
        told[row] = released
    return told
