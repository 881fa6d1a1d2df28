"""The position documents: one store interface, IBM Cloudant, or SQLite where there is no server."""

from documents.document import Document, document_id, from_document, to_document
from documents.opening import open_store
from documents.settings import DocumentSettings
from documents.store import DocumentStore, RejectedDocument

__all__ = [
    "Document",
    "DocumentSettings",
    "DocumentStore",
    "RejectedDocument",
    "document_id",
    "from_document",
    "open_store",
    "to_document",
]
