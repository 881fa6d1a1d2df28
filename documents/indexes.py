"""The indexes of a database of positions: how they are made, and how they are asked, the newest first.

By time, by device and by tile: Mango indexes, which the server keeps in its own code. By zone: a view. For a document
has several zones, and a Mango index has one row a document and knows an array only as a whole; a view has a row a zone.
"""

from typing import Any

from ibm_cloud_sdk_core.detailed_response import DetailedResponse
from ibmcloudant.cloudant_v1 import (
    CloudantV1,
    DesignDocument,
    DesignDocumentViewsMapReduce,
    IndexDefinition,
    IndexField,
)

from documents.document import format_time
from documents.query import Mark

MANGO = {
    "by-time": ("observed_at",),
    "by-device": ("device", "observed_at"),
    "by-tile": ("tile", "observed_at"),
}
"""The Mango indexes, and the properties that each of them is by."""
ZONE_DESIGN, ZONE_VIEW = "by-zone", "positions"
NAMES = (*MANGO, ZONE_DESIGN)
"""All of them."""

_AT = "properties.observed_at"
_ZONE_MAP = """function (doc) {
  if (doc.properties && doc.properties.zones) {
    doc.properties.zones.forEach(function (zone) {
      emit([zone, doc.properties.observed_at, doc._id], null);
    });
  }
}"""


def as_should_be(mango: list[dict[str, Any]], design: dict[str, Any] | None) -> set[str]:
    """The indexes that are defined as they are here: of the server's list, `mango`, and the view's design document.

    What a server adds of its own makes no difference: an index that is taken for another is built anew.
    """
    found = set()
    for each in mango:
        name, definition = each.get("name"), each.get("def") or {}
        if (
            name in MANGO
            and each.get("ddoc") == f"_design/{name}"
            and definition.get("fields") == _definition(name)["fields"]
            and not definition.get("partial_filter_selector")
        ):
            found.add(name)
    view = ((design or {}).get("views") or {}).get(ZONE_VIEW) or {}
    if view.get("map") == _ZONE_MAP and not view.get("reduce"):
        found.add(ZONE_DESIGN)
    return found


def make(client: CloudantV1, database: str, name: str) -> DetailedResponse:
    """Make an index, where none of this name is there yet."""
    if name == ZONE_DESIGN:
        views = {ZONE_VIEW: DesignDocumentViewsMapReduce(map=_ZONE_MAP)}
        return client.put_design_document(database, name, DesignDocument(language="javascript", views=views))
    fields = [IndexField(**field) for field in _definition(name)["fields"]]
    return client.post_index(database, index=IndexDefinition(fields=fields), ddoc=name, name=name, type="json")


def _definition(name: str) -> dict[str, list[dict[str, str]]]:
    return {"fields": [{f"properties.{each}": "asc"} for each in MANGO[name]]}


def build_query(name: str) -> dict[str, Any]:
    """The arguments of `post_view` by which an index is built, which nobody waits for. A Mango index is a view, too."""
    view = ZONE_VIEW if name == ZONE_DESIGN else name
    return {"ddoc": name, "view": view, "limit": 0, "reduce": False, "update": "lazy"}


def mango_query(field: str, value: str, *, start: int, below: Mark, count: int) -> dict[str, Any]:
    """The arguments of `post_find` and `post_explain`: a range of an index, less what was seen of its first instant."""
    before = format_time(below.observed_at)
    return {
        "selector": {
            f"properties.{field}": value,
            _AT: {"$gte": format_time(start), "$lte": before},
            # The index ends with the time: what stands at the same instant is told apart here.
            "$or": [{_AT: {"$lt": before}}, {_AT: before, "_id": {"$lt": below.id}}],
        },
        "sort": [{f"properties.{field}": "desc"}, {_AT: "desc"}],
        "use_index": [f"by-{field}", f"by-{field}"],
        "limit": count,
    }


def time_query(*, above: Mark, last: int, count: int) -> dict[str, Any]:
    """The same of the index by time, the oldest first: what is above a mark, up to the instant `last`."""
    after = format_time(above.observed_at)
    return {
        "selector": {
            _AT: {"$gte": after, "$lte": format_time(last)},
            "$or": [{_AT: {"$gt": after}}, {_AT: after, "_id": {"$gt": above.id}}],
        },
        "sort": [{_AT: "asc"}],
        "use_index": ["by-time", "by-time"],
        "limit": count,
    }


def zone_query(zone: str, *, start: int, below: Mark, count: int) -> dict[str, Any]:
    """The arguments of `post_view`: a range of the view, from which the row of `below` itself is to be left out."""
    return {
        "ddoc": ZONE_DESIGN,
        "view": ZONE_VIEW,
        "start_key": [zone, format_time(below.observed_at), below.id],
        "end_key": [zone, format_time(start)],
        "descending": True,
        "include_docs": True,
        "limit": count + 1,
    }
