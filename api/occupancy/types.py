"""The types of the bodies about now: each kind of the table has a member, in the table's order."""

from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from types import GenericAlias
from typing import Annotated, Any

from pydantic import Field

from api.http.instants import Rfc3339
from api.http.kind_words import capital, example_count
from api.occupancy import texts
from core.clock import format_rfc3339
from core.kinds import Kind, Kinds

_NEWEST_INPUT = """When the newest message of each kind of device came, wherever it came from, RFC 3339, UTC, in whole \
seconds.

In whole minutes where small counts are withheld (PRIVACY_MIN_COUNT)."""
_EXAMPLE_AT = 1_772_446_500_000
"""2026-03-02T10:15:00Z, in milliseconds since the epoch."""

Member = tuple[str, Any]
"""A member of a body: its name, and its type with what the OpenAPI document says of it."""

LastUpdated = Annotated[
    Rfc3339, Field(description="When the counts were read, RFC 3339, UTC.", examples=["2026-03-02T10:15:00.250Z"])
]
Ttl = Annotated[int, Field(description="Seconds for which the answer stays good; ask again after that.", examples=[1])]
Lag = Annotated[
    int,
    Field(
        description="Seconds that the decoder is behind: the age of the oldest message that is not counted yet; 0 "
        "where none waits.",
        examples=[0],
    ),
]
Stale = Annotated[
    str | None,
    Field(
        description="Why these counts cannot be those of now, in a sentence for people; null where nothing is known "
        "against them. A 0 with a sentence here does not say that nobody is there.",
        examples=[None],
    ),
]


@dataclass(frozen=True, slots=True)
class OccupancyTypes:
    """The types of the bodies: each kind has a field, in the order of the table."""

    zone_counts: type[Any]
    """What is said of one zone alone: it is written again only when it changes."""
    shared: type[Any]
    """What the bodies of one moment share, at the end of each."""
    newest_input: type[Any]
    one: type[Any]
    """The body about one zone: both of these."""
    everything: type[Any]
    """The body about several."""


def occupancy_types(kinds: Kinds, *, released: bool = False) -> OccupancyTypes:
    """The types of the bodies, for their encoder and for the OpenAPI document.

    Where counts are `released` ones, those of any kind may be null.
    """
    newest_input = _type("NewestInput", _NEWEST_INPUT, _newest_input_members(kinds))
    of_zone, shared = _zone_members(kinds, released=released), _shared_members(newest_input)
    one = _type("Occupancy", "The devices that are in one zone now.", [*of_zone, *shared])
    return OccupancyTypes(
        zone_counts=_type("ZoneCounts", "What is said of one zone alone.", of_zone),
        shared=_type("Shared", "What the bodies of one moment share.", shared),
        newest_input=newest_input,
        one=one,
        everything=_type("OccupancyOfAll", "The devices that are in every zone now.", [*shared, _zones_member(one)]),
    )


def _type(name: str, doc: str, members: Sequence[Member]) -> type[Any]:
    return make_dataclass(name, members, namespace={"__doc__": doc}, frozen=True, slots=True)


def _member(name: str, type_: object, description: str, *examples: object) -> Member:
    return name, Annotated[type_, Field(description=description, examples=[*examples] or None)]


def _zone_members(kinds: Kinds, *, released: bool) -> list[Member]:
    """What is said of a zone: what it is, a count of each kind, and what follows from the counts."""
    return [
        _member("zone", str, "Id of the zone.", "kemmy"),
        _member("name", str, "Its name, for people.", "Kemmy Business School"),
        _member(
            "category",
            str | None,
            "What it is, such as building or car_park; null where none is set.",
            "building",
        ),
        *(_count_member(kind, released=released) for kind in kinds),
        _member("total", int | None, texts.total(kinds), sum(map(example_count, kinds))),
        _member("capacity", int | None, texts.capacity(kinds), 400),
        _member("percentage", float | None, texts.percentage(kinds), 30.3),
        _member("suppressed", bool, texts.suppressed(kinds), False),  # noqa: FBT003 - an example
        _member("observed_at", Rfc3339 | None, texts.observed_at(kinds), "2026-03-02T10:14:59Z"),
    ]


def _count_member(kind: Kind, *, released: bool) -> Member:
    present = f"{capital(kind.many)} present"
    if released:
        said = f"Of {kind.many} present, the released count; null where it is under PRIVACY_MIN_COUNT."
        return _member(kind.id, int | None, said, example_count(kind))
    if kind.person:
        said = f"{present}; null where so few are that it is suppressed."
        return _member(kind.id, int | None, said, example_count(kind))
    return _member(kind.id, int, f"{present}.", example_count(kind))


def _newest_input_members(kinds: Kinds) -> list[Member]:
    return [
        _member(
            kind.id,
            Rfc3339 | None,
            f"Of {kind.many}; null where none ever came.",
            format_rfc3339(_EXAMPLE_AT - 2000 * number),
        )
        for number, kind in enumerate(kinds)
    ]


def _shared_members(newest_input: type[Any]) -> list[Member]:
    newest = "When the newest message of each kind came in: nothing for long is no sign that nobody is there."
    return [
        ("last_updated", LastUpdated),
        ("ttl", Ttl),
        ("lag_seconds", Lag),
        _member("newest_input_at", newest_input, newest),
        ("stale", Stale),
    ]


def _zones_member(one: type[Any]) -> Member:
    order = "The campus itself first, then its zones in the order of /v1/zones, unless asked otherwise."
    return _member("zones", GenericAlias(list, (one,)), order)
