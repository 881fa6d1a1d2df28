"""What HAProxies have counted of the versions of an application since a moment."""

from collections.abc import Iterable, Mapping, Sequence

from state.apps import Canary, Counters, Figures


def together(counters: Iterable[Counters]) -> Counters:
    """The sum of several."""
    found = list(counters)
    times = max((len(each.by_time) for each in found), default=0)
    return Counters(
        answers=sum(each.answers for each in found),
        errors=sum(each.errors for each in found),
        by_time=tuple(sum(each.by_time[i] for each in found if i < len(each.by_time)) for i in range(times)),
    )


def of_places(figures: Mapping[str, Figures], places: Iterable[int]) -> Counters:
    """All that the HAProxies have counted of some places since each was started."""
    wanted = set(places)
    return together(counters for each in figures.values() for place, counters in each.places.items() if place in wanted)


def since(figures: Mapping[str, Figures], canary: Canary, places: Iterable[int]) -> Counters:
    """What they have counted of some places since the step of the canary began."""
    wanted = set(places)
    return together(
        _more(counters, _before(canary, name, each, place))
        for name, each in figures.items()
        for place, counters in each.places.items()
        if place in wanted
    )


def unknown(figures: Mapping[str, Figures], canary: Canary) -> dict[str, Figures]:
    """Those of HAProxies that ran before the step and told nothing then: they count from now on."""
    return {
        name: each for name, each in figures.items() if name not in canary.baseline and each.started_at < canary.step_at
    }


def _before(canary: Canary, name: str, now: Figures, place: int) -> Counters:
    before = canary.baseline.get(name)
    # One that was started anew has forgotten what it had counted.
    if before is None or before.started_at != now.started_at:
        return Counters()
    return before.places.get(place, Counters())


def _more(now: Counters, before: Counters) -> Counters:
    return Counters(
        answers=max(0, now.answers - before.answers),
        errors=max(0, now.errors - before.errors),
        by_time=_difference(now.by_time, before.by_time),
    )


def _difference(now: Sequence[int], before: Sequence[int]) -> tuple[int, ...]:
    return tuple(max(0, count - (before[i] if i < len(before) else 0)) for i, count in enumerate(now))
