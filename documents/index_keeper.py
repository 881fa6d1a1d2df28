"""The indexes of databases of positions: each is made where it is missing, asked, and built ahead.

CouchDB builds an index in the background. A question to one that is behind waits until it has caught up, which may take
minutes after many documents. So who writes documents also has their indexes built (`look`), and a question that was
not answered in time says why, as do those after it until the index has caught up: they would only hold up the others.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from http import HTTPStatus
from typing import Any

import structlog

from core.errors import UnansweredError, UnavailableError
from documents import indexes
from documents.answers import MissingError
from documents.couch import Call, CouchServer
from documents.pace import Pace
from documents.store import IndexBeingBuiltError

MAKE_ATTEMPTS = 10
MAKE_AGAIN_SECONDS = 0.5
"""Somebody else who makes the same index at the same time is let go first, for up to so long."""
BEHIND_DOCUMENTS = 5000
"""An index that is so many documents behind makes a question wait for seconds."""
AGAIN_SECONDS = 5.0
"""When to ask again for what is being built."""
LOOK_SECONDS = 2.0
"""How long a look at how far an index is behind is believed."""

_log = structlog.stdlib.get_logger("documents")


class IndexKeeper:
    """The indexes of all databases of a store."""

    def __init__(
        self, server: CouchServer, *, pace: Pace | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`now` is in seconds."""
        self._server = server
        self._pace = pace
        self._now = now
        self._making: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._behind: dict[tuple[str, str], tuple[float, int]] = {}
        """When to look again at what was being built, and how far it was behind, by database and index."""

    async def complete(self, database: str) -> list[str]:
        """Make the indexes that are missing, and anew those that are defined otherwise; says which.

        It may be begun and not finished, and done by several at once: each index is looked at on its own. Raises
        Missing where there is no such database.
        """
        made = []
        async with self._making[database]:
            for name in await self._incomplete(database):
                for attempt in range(MAKE_ATTEMPTS):
                    # Before the look: what somebody else has made since then has another revision, and is left alone.
                    old = await self._design(database, name)
                    if name not in await self._incomplete(database):
                        break
                    try:
                        await self._make(database, name, old)
                        made.append(name)
                        break
                    except UnavailableError:
                        # CouchDB says 500, error_saving_ddoc, where somebody else makes the same one at the same time.
                        if attempt == MAKE_ATTEMPTS - 1:
                            raise
                    await asyncio.sleep(random.uniform(0, MAKE_AGAIN_SECONDS))  # noqa: S311 - no secret
        return made

    async def ask(self, database: str, index: str, call: Call, *, holds: str) -> list[Any]:
        """The list that an answer from an index `holds`; empty if there is no such database (any more).

        An index that is missing is made. Raises IndexBeingBuiltError, or UnavailableError.
        """
        if (database, index) in self._behind:
            await self._still_behind(database, index)
        try:
            return await self._asked(database, call, holds)
        except MissingError:
            try:
                await self.mend(database)
            except MissingError:
                return []
        except UnavailableError as error:
            documents, _ = await self._information(database, index)
            if documents > BEHIND_DOCUMENTS:
                self._behind[database, index] = self._now() + LOOK_SECONDS, documents
            elif not (documents and isinstance(error, UnansweredError)):
                raise
            raise _being_built(database, index, documents) from error
        return await self._asked(database, call, holds)

    async def mend(self, database: str) -> None:
        """Make what is missing, and say so in the log."""
        made = await self.complete(database)
        if made:
            _log.warning("indexes were missing, and are made anew", database=database, indexes=made)

    async def look(self, database: str) -> list[str]:
        """Have the indexes of a database built as far as its documents go; a sentence on each that is far behind."""
        sentences = []
        for index in indexes.NAMES:
            try:
                documents, runs = await self._information(database, index)
            except MissingError:
                await self.mend(database)
                documents, runs = await self._information(database, index)
            if documents and not runs:
                wanted = indexes.build_query(index)
                # A server that does not answer this for a Mango index builds it by itself, or with the first question.
                with suppress(UnavailableError):
                    await self._server.ask(database, lambda client, wanted=wanted: client.post_view(database, **wanted))  # type: ignore[misc]
            if documents > BEHIND_DOCUMENTS:
                sentences.append(str(_being_built(database, index, documents)))
        return sentences

    async def _still_behind(self, database: str, index: str) -> None:
        """Raise IndexBeingBuiltError without asking an index that was far behind, until a look says that it is not."""
        again, documents = self._behind[database, index]
        if self._now() >= again:
            try:
                documents, _ = await self._information(database, index)
            except MissingError:
                documents = 0  # who asks it hears that, and makes it
            if documents <= BEHIND_DOCUMENTS:
                self._behind.pop((database, index), None)
                return
            self._behind[database, index] = self._now() + LOOK_SECONDS, documents
        raise _being_built(database, index, documents)

    async def _asked(self, database: str, call: Call, holds: str) -> list[Any]:
        answer: dict[str, list[Any]] = await self._server.ask(database, call, holds=holds)
        return answer[holds]

    async def _information(self, database: str, index: str) -> tuple[int, bool]:
        """How many documents an index is behind, as far as the server says, and whether it is being built."""
        answer = await self._server.ask(
            database, lambda client: client.get_design_document_information(database, index), holds=None
        )
        view = answer.get("view_index")
        pending = view.get("updates_pending") if isinstance(view, dict) else None
        behind = pending.get("minimum") if isinstance(pending, dict) else 0
        return (behind if isinstance(behind, int) else 0), bool(isinstance(view, dict) and view.get("updater_running"))

    async def _incomplete(self, database: str) -> list[str]:
        """The indexes that are not there, or not as they should be."""
        found = await self._server.ask(
            database, lambda client: client.get_indexes_information(database), holds="indexes"
        )
        there = indexes.as_should_be(found["indexes"], await self._design(database, indexes.ZONE_DESIGN))
        return [name for name in indexes.NAMES if name not in there]

    async def _design(self, database: str, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = await self._server.ask(
            database, lambda client: client.get_design_document(database, name), HTTPStatus.NOT_FOUND
        )
        return found

    async def _make(self, database: str, name: str, old: dict[str, Any] | None) -> None:
        """Make an index, in place of `old`, which has its name and is defined otherwise."""
        if old:
            async with self._writing():
                await self._server.ask(
                    database,
                    lambda client: client.delete_design_document(database, name, rev=old["_rev"]),
                    HTTPStatus.NOT_FOUND,
                    HTTPStatus.CONFLICT,
                )
        async with self._writing():
            await self._server.ask(database, lambda client: indexes.make(client, database, name), HTTPStatus.CONFLICT)

    def _writing(self) -> AbstractAsyncContextManager[None]:
        return self._pace.writing(1) if self._pace else nullcontext()


def _being_built(database: str, index: str, documents: int) -> IndexBeingBuiltError:
    sentence = f"index {index} of {database} is being built: {documents} documents to go"
    return IndexBeingBuiltError(sentence, retry_after=AGAIN_SECONDS)
