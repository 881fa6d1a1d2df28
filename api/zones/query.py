"""Which zones are asked for: a box, so many at a time, and where the last page ended."""

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

import shapely
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.http.boxes import LONGEST, boxes
from api.http.problems import WrongParameter, wrong_parameters
from api.zones.campus import CampusView, collection
from geofence import MAX_FEATURES

_LONGEST_CURSOR = 200


def _checked_box(text: str | None) -> str | None:
    if text is not None:
        boxes(text)
    return text


class ZonesQuery(BaseModel):
    """Which zones are asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bbox: Annotated[str | None, Field(max_length=LONGEST), AfterValidator(_checked_box)] = Field(
        default=None,
        description="Only what this box meets: west, south, east, north in degrees of WGS 84, joined by commas. "
        "Heights may stand beside them, as in OGC API Features, and are ignored; where west is above east, the box "
        "spans the antimeridian.",
        examples=["-8.58,52.67,-8.56,52.68"],
    )
    limit: int = Field(
        default=MAX_FEATURES, ge=1, le=MAX_FEATURES, description="How many there are on a page.", examples=[100]
    )
    cursor: str | None = Field(
        default=None,
        max_length=_LONGEST_CURSOR,
        description="Where the last page ended: take it from `next`.",
        examples=["OTcwZmQxOGMxN2NlMjdjYzo1"],
    )


@dataclass(frozen=True, slots=True)
class ZonesPage:
    """A page of zones."""

    body: bytes
    next: str | None
    """Address of the next page; None on the last."""


def page_of(view: CampusView, query: ZonesQuery) -> ZonesPage:
    """The page that a query asks for. Raises a 422 problem for a cursor that cannot be used (any more)."""
    everything = list(view.features)
    found = range(len(everything)) if query.bbox is None else _met(view, query.bbox)
    start = _start(view, query.cursor)
    page = [index for index in found if index >= start][: query.limit]
    after = [index for index in found if page and index > page[-1]]
    following = None
    links = []
    if after:
        asked = {"bbox": query.bbox, "limit": query.limit, "cursor": _cursor(view, after[0])}
        following = f"/v1/zones?{urlencode({name: value for name, value in asked.items() if value is not None})}"
        links = [{"href": following, "rel": "next", "type": "application/geo+json"}]
    features = [view.features[everything[index]] for index in page]
    return ZonesPage(
        collection(features, matched=len(found), attribution=view.campus.attribution, links=links), following
    )


def _met(view: CampusView, bbox: str) -> list[int]:
    return sorted(
        {int(index) for box in boxes(bbox) for index in view.tree.query(shapely.box(*box), predicate="intersects")}
    )


def _cursor(view: CampusView, index: int) -> str:
    return base64.urlsafe_b64encode(f"{view.version}:{index}".encode()).rstrip(b"=").decode()


def _start(view: CampusView, cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        version, _, index = text.rpartition(":")
        start = int(index)
    except (binascii.Error, ValueError):
        raise wrong_parameters([WrongParameter("cursor", "it is none that an answer gave")]) from None
    if version != view.version:
        detail = "the zones have changed since that page: begin again without it"
        raise wrong_parameters([WrongParameter("cursor", detail)])
    return start
