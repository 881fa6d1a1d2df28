"""The indexes of a database of positions: how they are made, and how they are asked, the newest first.

By device and by tile: Mango indexes, which the server keeps in its own code. By zone: a view. For a document has
several zones, and a Mango index has one row a document and knows an array only as a whole; a view has a row a zone.
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

MANGO = ("device", "tile")
"""Properties that have a Mango index, each together with the event time."""
ZONE_DESIGN, ZONE_VIEW = "by-zone", "positions"

_ZONE_MAP = """function (doc) {
  if (doc.properties && doc.properties.zones) {
    doc.properties.zones.forEach(function (zone) {
      emit([zone, doc.properties.observed_at, doc._id], null);
    });
  }
}"""


def make_mango(client: CloudantV1, database: str, field: str) -> DetailedResponse:
    """Make a Mango index, where it is not there yet."""
    name = f"by-{field}"
    fields = [IndexField(**{f"properties.{each}": "asc"}) for each in (field, "observed_at")]
    return client.post_index(database, index=IndexDefinition(fields=fields), ddoc=name, name=name, type="json")


def make_view(client: CloudantV1, database: str) -> DetailedResponse:
    """Make the view by zone; 409 where it is there."""
    views = {ZONE_VIEW: DesignDocumentViewsMapReduce(map=_ZONE_MAP)}
    return client.put_design_document(database, ZONE_DESIGN, DesignDocument(language="javascript", views=views))


def mango_query(field: str, value: str, *, start: int, below: Mark, count: int) -> dict[str, Any]:
    """The arguments of `post_find` and `post_explain`: a range of an index, less what was seen of its first instant."""
    before = format_time(below.observed_at)
    at = "properties.observed_at"
    return {
        "selector": {
            f"properties.{field}": value,
            at: {"$gte": format_time(start), "$lte": before},
            # The index ends with the time: what stands at the same instant is told apart here.
            "$or": [{at: {"$lt": before}}, {at: before, "_id": {"$lt": below.id}}],
        },
        "sort": [{f"properties.{field}": "desc"}, {at: "desc"}],
        "use_index": [f"by-{field}", f"by-{field}"],
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
