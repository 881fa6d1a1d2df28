"""The position documents: one store interface, IBM Cloudant, or SQLite where there is no server."""

from documents.building import Building
from documents.document import Document, document_id, from_document, sample_id, to_document
from documents.opening import open_store
from documents.query import LIMIT_MAX, Page, PositionQuery
from documents.retention import Retention
from documents.settings import DocumentSettings
from documents.store import DocumentStore, Dropped, IndexBeingBuiltError, RejectedDocumentError

__all__ = [
    "LIMIT_MAX",
    "Building",
    "Document",
    "DocumentSettings",
    "DocumentStore",
    "Dropped",
    "IndexBeingBuiltError",
    "Page",
    "PositionQuery",
    "RejectedDocumentError",
    "Retention",
    "document_id",
    "from_document",
    "open_store",
    "sample_id",
    "to_document",
]
