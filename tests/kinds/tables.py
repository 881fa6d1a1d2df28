"""Tables of one, three and six kinds, beside the default's two."""

from core.kinds import DEFAULT_KINDS, Colours, Kind, KindId, Kinds


def kind(
    name: str, one: str, many: str, light: str, dark: str, *, person: bool = False, capacity_of: tuple[str, ...] = ()
) -> Kind:
    """An entry of a table, whose topic is `{name}-iotp`."""
    return Kind(
        id=KindId(name),
        topic=f"{name}-iotp",
        label={"en": (one, many)},
        person=person,
        capacity_of=frozenset(capacity_of),
        colour=Colours(light, dark),
    )


BICYCLE = kind("bicycle", "bicycle", "bicycles", "#6a3fa0", "#c7a6f2", capacity_of=("bicycle_park",))
WATCH = kind("watch", "watch", "watches", "#9b1c5a", "#f29ac4", person=True)
SCOOTER = kind(
    "e_scooter", "electric scooter", "electric scooters", "#24664a", "#7fd1ab", capacity_of=("bicycle_park",)
)
BUS = kind("bus", "bus", "buses", "#7a2e12", "#f0a98a")

ONE_KIND = Kinds([BICYCLE])
THREE_KINDS = Kinds([*DEFAULT_KINDS, BICYCLE])
MOST_KINDS = Kinds(
    [
        kind(f"kind_{number}", f"{number}{'w' * 37}", f"{number}{'w' * 37}s", "#6a3fa0", "#c7a6f2")
        for number in range(10, 26)
    ]
)
"""As many as there can be, with the longest names."""
SIX_KINDS = Kinds([*DEFAULT_KINDS, BICYCLE, WATCH, SCOOTER, BUS])
