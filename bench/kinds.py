"""The kinds that the benchmarks are of: cars and phones."""

from core.kinds import DEFAULT_KINDS

CAR, MOBILE = DEFAULT_KINDS.ids
