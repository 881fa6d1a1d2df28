"""From settings to an open store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.clock import Clock, system_clock
from documents.pace import Pace
from documents.settings import DocumentSettings
from documents.sqlite import SQLiteStore
from documents.store import DocumentStore


@asynccontextmanager
async def open_store(settings: DocumentSettings, *, clock: Clock = system_clock) -> AsyncIterator[DocumentStore]:
    """The store that DOCUMENT_STORE names, closed at the end.

    Opening does not wait for a server, nor make anything: that is `setup`. Raises BadSettingsError.
    """
    if settings.document_store == "sqlite":
        store = SQLiteStore(settings.documents_file)
        try:
            yield store
        finally:
            await store.close()
        return
    from documents.cloudant import CloudantStore  # noqa: PLC0415 - the SDK is loaded only where it is wanted

    writes = settings.cloudant_writes_per_second
    cloudant = CloudantStore(
        url=settings.cloudant_url,
        database=settings.cloudant_database,
        months=settings.cloudant_months,
        pace=Pace(writes) if writes else None,
        clock=clock,
    )
    try:
        yield cloudant
    finally:
        cloudant.close()
