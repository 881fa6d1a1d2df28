"""Where the test device shows up: the zone in which one more is seen best, and a point inside it."""

from dataclasses import dataclass
from typing import Any

import shapely

from core.kinds import Kind
from deploy.smoke.failed import CheckFailedError


@dataclass(frozen=True, slots=True)
class Place:
    """A zone, and a point inside it."""

    zone: str
    longitude: float
    """Degrees east, WGS 84."""
    latitude: float
    """Degrees north, WGS 84."""


def quietest(zones: Any, occupancy: Any, kind: Kind) -> Place:  # noqa: ANN401 - two answers of the API
    """The zone with the fewest of a kind, of the answers to `GET /v1/zones` and `GET /v1/occupancy`.

    A device that was there a minute ago is in another one now, so that its coming is always a change.
    Raises Failed if there is no zone whose count is told.
    """
    counts = {body["zone"]: body[kind.id] for body in occupancy["zones"]}
    outline = next(_shape(feature) for feature in zones["features"] if feature["properties"]["role"] == "boundary")
    found: list[tuple[int, str, Any]] = []
    for feature in zones["features"]:
        if feature["properties"]["role"] != "zone" or counts.get(feature["id"]) is None:
            continue
        point = _shape(feature).intersection(outline).representative_point()
        if not point.is_empty:
            found.append((counts[feature["id"]], feature["id"], point))
    if not found:
        raise CheckFailedError(
            f"no zone tells its count of {kind.id}: PRIVACY_MIN_COUNT withholds small counts of people; "
            "use another --kind"
            if kind.person
            else "the campus has no zone, so nothing can be counted"
        )
    _, zone, point = min(found, key=lambda each: each[:2])
    return Place(zone, point.x, point.y)


def anywhere(zones: Any) -> Place:  # noqa: ANN401 - an answer of the API
    """A point on the campus, where no count says which is best. Raises Failed where there is no campus."""
    boundary = next((each for each in zones["features"] if each["properties"]["role"] == "boundary"), None)
    if boundary is None:
        raise CheckFailedError("the campus has no boundary, so nothing can be counted")
    point = _shape(boundary).representative_point()
    return Place(boundary["id"], point.x, point.y)


def _shape(feature: dict[str, Any]) -> Any:  # noqa: ANN401 - shapely has no types
    return shapely.geometry.shape(feature["geometry"])
