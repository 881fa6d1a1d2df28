"""All marks of the devices of an hour."""

from collections.abc import Mapping

from core.marks import Mark
from decoder.plausibility.alone import is_frozen, is_perfect, teleports
from decoder.plausibility.together import in_lockstep, replayed
from decoder.plausibility.track import Track


def marked(tracks: Mapping[str, Track], *, most_speed: float) -> dict[str, frozenset[Mark]]:
    """The devices with a mark, and all marks of each. `most_speed` is in metres a second (IMPLAUSIBLE_SPEED)."""
    found: dict[str, set[Mark]] = {device: set() for device in tracks}
    for device, track in tracks.items():
        marks = {
            Mark.TELEPORT: teleports(track, most_speed),
            Mark.FROZEN: is_frozen(track),
            Mark.PERFECT: is_perfect(track),
        }
        found[device] |= {mark for mark, holds in marks.items() if holds}
    devices, each = list(tracks), list(tracks.values())
    for mark, numbers in ((Mark.REPLAYED, replayed(each)), (Mark.LOCKSTEP, in_lockstep(each))):
        for number in numbers:
            found[devices[number]].add(mark)
    return {device: frozenset(marks) for device, marks in found.items() if marks}
