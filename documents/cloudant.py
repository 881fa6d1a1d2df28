"""The document store of a campus in production: IBM Cloudant, or Apache CouchDB, which speaks the same.

Documents are kept in a database for each month of their event time (UTC), `positions-2026-11`, so that old ones can be
dropped with their indexes in one request. Months far from the present have no database of their own: whoever can send
event times must not be able to make databases, of which a plan has few. Those documents are together in one, which is
called `positions-other`.
"""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

import msgspec
import structlog

from core.clock import LATEST_MS, Clock, system_clock
from core.errors import UnavailableError
from core.messages import Position
from documents.answers import MissingError, NotAllowedError
from documents.couch import LIST, CouchServer
from documents.database import Database
from documents.document import Document, Key, document_id, time_of, to_document
from documents.index_keeper import IndexKeeper
from documents.merging import chained, merged, read_page
from documents.months import day_start, month_after, month_end, month_of, month_start
from documents.pace import Pace
from documents.query import Mark, Page, PositionQuery, checked_count, checked_device, checked_limit, first_mark
from documents.rights import Right, Rights
from documents.store import PAGE, Dropped, RejectedDocumentError
from documents.writing import Written, write

BATCH_DOCUMENTS = 500
BATCH_BYTES = 5_000_000
"""Cloudant takes requests of up to 11 MB; documents of ours have some 500 bytes."""
PUTS = 4
"""Batches of one `put` under way at the same time."""
OTHER = "other"
_LEFT = (
    "The document store keeps the ids of deleted documents, which are the device's hash and a time, until the database "
    "of their month is dropped."
)

_log = structlog.stdlib.get_logger("documents")


class CloudantStore:
    """Documents in databases by month; conflicts on an id mean that it is stored.

    The login is one that may list, make and drop databases, or of a user of `documents.rights`: then somebody else
    makes and drops them. `months` is how many months back from the present have a database of their own; `pace` keeps
    within a plan.
    """

    def __init__(
        self, *, url: str, database: str, months: int = 12, pace: Pace | None = None, clock: Clock = system_clock
    ) -> None:
        self._server = CouchServer(url)
        self._prefix = f"{database}-"
        self._ours = re.compile(rf"{re.escape(self._prefix)}(\d{{4}}-(?:0[1-9]|1[0-2])|{OTHER})", re.ASCII)
        self._months = months
        self._pace = pace
        self._clock = clock
        self._batch = min(BATCH_DOCUMENTS, pace.per_second if pace else BATCH_DOCUMENTS)
        self._keeper = IndexKeeper(self._server, pace=pace)
        self._setting_up = asyncio.Lock()
        self._making: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._complete: set[str] = set()
        """Months whose databases this process has seen with all their indexes."""
        self._not_made: set[str] = set()
        """Months that are over, have no database, and that this login may not give one."""
        self._look_at: set[str] = set()
        """Months whose indexes may have to be built."""

    async def setup(self) -> None:
        """Make the databases of this month and the next, and the indexes of all, where they are not there yet.

        Who is no administrator finds them there. Raises NotAllowedError where the one of this month is missing then.
        """
        # The stages of a process all begin with this: the first one makes what is missing, the others look.
        async with self._setting_up:
            existing = await self._existing()
            present = month_of(self._clock())
            for month in dict.fromkeys([*existing, present, month_after(present, 1)]):
                if month in existing:
                    await self._keeper.mend(self._prefix + month)
                    self._complete.add(month)
                else:
                    await self._make_ahead(month, needed=month == present)
            self._look_at.update(existing)

    async def _make_ahead(self, month: str, *, needed: bool) -> None:
        try:
            await self._make(month)
        except NotAllowedError as error:
            if needed:
                raise
            _log.warning("the database of the next month is not there", reason=str(error))

    async def give_rights(self, passwords: Mapping[Right, str]) -> None:
        """Make users that may do no more than they need, and let them into all databases; as an administrator.

        Those users make no databases: what they may need is made here, the last month and the one of all that is far
        from the present, too.
        """
        await self.setup()
        present = month_of(self._clock())
        for month in (month_after(present, -1), OTHER):
            await self._make(month)
        rights = Rights(self._server, passwords)
        await rights.make_users()
        for month in await self._existing():
            await rights.guard(self._prefix + month)

    async def being_built(self) -> list[str]:
        """See `DocumentStore.being_built`: of the present month, and of others that were written or built last time."""
        months = {month_of(self._clock()), *self._look_at}
        self._look_at -= months
        sentences = []
        for month in sorted(months):
            try:
                found = await self._keeper.look(self._prefix + month)
            except MissingError:
                continue
            except UnavailableError:
                self._look_at |= months
                raise
            if found:
                self._look_at.add(month)
            sentences += found
        return sentences

    async def put(self, positions: Sequence[Position], *, key: Key = document_id) -> int:
        """See `DocumentStore.put`; in batches, up to `PUTS` at a time."""
        # An id twice in one request: which of the two stays is not defined, so only the first is sent.
        unique: dict[str, Position] = {}
        for position in positions:
            unique.setdefault(key(position), position)
        batches = _by_month(unique.values(), self._batch)
        rejected: dict[str, str] = {}
        new = 0

        async def work() -> None:
            nonlocal new
            for month, batch in batches:
                stored = await self._put_batch(month, batch, key, rejected)
                new += stored

        workers = [asyncio.ensure_future(work()) for _ in range(PUTS)]
        try:
            await asyncio.gather(*workers)
        finally:
            # After an error nothing goes on behind the caller's back; what a thread has begun, it ends.
            for worker in workers:
                worker.cancel()
        if rejected:
            raise RejectedDocumentError(rejected)
        return new

    async def get(self, document_id: str) -> Document | None:
        """See `DocumentStore.get`."""
        time = time_of(document_id)
        if document_id.startswith("_") or time is None or time > LATEST_MS:
            return None
        return await self._of(month_of(time)).get(document_id) or await self._of(OTHER).get(document_id)

    async def count(self) -> int:
        """See `DocumentStore.count`."""
        return sum([await self._of(month).count() for month in await self._existing()])

    async def scan(
        self, *, page: int = PAGE, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[Document]:
        """See `DocumentStore.scan`; without a range month by month, and in each by device."""
        if page < 1:
            raise ValueError(f"a page holds at least one document, not {page}")
        existing = await self._existing()
        if start is None and end is None:
            # What is of no month comes first: nearly all of it is old.
            for month in sorted(existing, key=lambda month: (month != OTHER, month)):
                async for document in self._of(month).scan(page):
                    yield document
            return
        first, last = start or 0, LATEST_MS + 1 if end is None else end
        sources = [chained([self._of(month).between(first, last, page) for month in _touched(existing, first, last)])]
        if OTHER in existing:
            sources.append(self._of(OTHER).between(first, last, page))
        async for document in merged(sources, newest_first=False):
            yield document

    async def months(self) -> dict[str, int]:
        """See `DocumentStore.months`; those whose database is empty are left out."""
        found = {month: await self._of(month).count() for month in await self._existing()}
        return {month: documents for month, documents in found.items() if documents}

    async def of_month(self, month: str, *, page: int = PAGE) -> AsyncIterator[Document]:
        """See `DocumentStore.of_month`."""
        if page < 1:
            raise ValueError(f"a page holds at least one document, not {page}")
        if not self._ours.fullmatch(self._prefix + month):
            raise ValueError(f"{month[:20]!r} is no month such as 2026-11")
        async for document in self._of(month).scan(page):
            yield document

    async def find(self, query: PositionQuery, *, limit: int, cursor: str | None = None) -> Page:
        """See `DocumentStore.find`."""
        below = first_mark(query)
        if cursor is not None:
            below = min(below, Mark.decode(cursor))
        count = checked_limit(limit) + 1
        existing = await self._existing()
        months = reversed(_touched(existing, query.start, below.observed_at + 1))
        sources = [chained([self._of(month).candidates(query, below, count) for month in months])]
        if OTHER in existing:
            sources.append(self._of(OTHER).candidates(query, below, count))
        return await read_page(merged(sources), query, limit)

    async def drop_before(self, time: int, *, dry_run: bool = False) -> list[Dropped]:
        """See `DocumentStore.drop_before`.

        A month that is over goes with its database, in one request; of the month that is not, the days before are
        deleted one document after the other, and the ids of these stay until that database goes. The one of what is
        far from the present goes once `time` is after the oldest month that would have one of its own: then all that
        is in it is older than that.
        """
        before = day_start(time)
        existing = await self._existing()
        over = [month for month in existing if month != OTHER and month_end(month) <= before]
        if OTHER in existing and before >= month_start(self._oldest()):
            over.append(OTHER)
        dropped = []
        for database in map(self._of, over):
            dropped.append(Dropped(database.name, await database.count()))
            if not dry_run:
                await database.drop()
        partly = [month for month in existing if month not in over and (month == OTHER or month_start(month) < before)]
        for database in map(self._of, partly):
            days = await (database.days_before(before) if dry_run else self._erase_before(database, before))
            dropped += [Dropped(day, documents) for day, documents in days.items()]
        return dropped

    async def _erase_before(self, database: Database, before: int) -> dict[str, int]:
        days: Counter[str] = Counter()
        while (gone := await database.erase_before(before, self._batch)) is not None:
            days.update(gone)
        return dict(sorted(days.items()))

    async def erase(self, device: str, *, limit: int = PAGE) -> int:
        """See `DocumentStore.erase`.

        What the server keeps of a deleted document, its id without its body, goes with the database of its month.
        """
        left, erased = checked_count(limit), 0
        name = checked_device(device)
        for month in await self._existing():
            while left:
                most = min(left, self._batch)
                found, gone = await self._of(month).erase(name, most)
                erased, left = erased + gone, left - gone
                if found < most:
                    break
        return erased

    async def purge(self) -> list[str]:
        """See `DocumentStore.purge`; only an administrator of the server could do it, and services are none."""
        return [_LEFT]

    def close(self) -> None:
        """Start nothing more, and close the connections that are idle."""
        self._server.close()

    async def _put_batch(self, month: str, batch: list[Position], key: Key, rejected: dict[str, str]) -> int:
        """How many were new; what the server will never take is added to `rejected`."""
        new = 0
        for documents in await self._server.in_thread(lambda: list(_encode(batch, key))):
            written = await self._put_somewhere(month, documents, batch[0])
            new += written.new
            rejected |= written.refused
        return new

    async def _put_somewhere(self, month: str, documents: dict[str, bytes], like: Position) -> Written:
        """To the database of a month, made if need be, or to the one for months that are far away."""
        # A month that is far away now may have got a database of its own when it was not; it gets none now.
        far = not self._oldest() <= month <= month_after(month_of(self._clock()), 1)
        for _ in range(3):
            if not far:
                month = await self._made(month)
            written = await write(self._of(month), documents, like)
            if written:
                self._look_at.add(month)
                return written
            self._complete.discard(month)  # somebody has dropped it
            if far:
                month, far = OTHER, False
        raise UnavailableError(f"{self._of(month).told} was made, and is not there")

    async def _made(self, month: str) -> str:
        """The month whose database is there now: this one, or `OTHER` where it is over and may not be made any more."""
        if month in self._not_made:
            return OTHER
        present = month_of(self._clock())
        try:
            await self._make(month)
        except NotAllowedError:
            # The months around the present are made ahead; with one of them missing, all waits for an administrator.
            if month == OTHER or month_after(present, -1) <= month <= month_after(present, 1):
                raise
            self._not_made.add(month)
            return OTHER
        return month

    async def _make(self, month: str) -> None:
        """Make the database of a month and its indexes, unless this process has seen all of them there."""
        async with self._making[month]:
            if month not in self._complete:
                try:
                    await self._of(month).make()
                except NotAllowedError:
                    # It may be there all the same: who may not make databases is not told.
                    if month not in await self._existing():
                        raise
                await self._keeper.complete(self._prefix + month)
                self._complete.add(month)

    async def _existing(self) -> list[str]:
        """The months that have a database, in order; `OTHER` comes last."""
        # Keys in an address are JSON, with their quotes, and the SDK sends them as they are.
        first, last = (msgspec.json.encode(key).decode() for key in (self._prefix, f"{self._prefix}\ufff0"))
        names = await self._server.ask(
            f"{self._prefix}*", lambda client: client.get_all_dbs(start_key=first, end_key=last), holds=LIST
        )
        return sorted(found[1] for name in names if (found := self._ours.fullmatch(str(name))))

    def _oldest(self) -> str:
        """The oldest month that has a database of its own."""
        return month_after(month_of(self._clock()), 1 - self._months)

    def _of(self, month: str) -> Database:
        return Database(self._server, self._prefix + month, keeper=self._keeper, pace=self._pace)


def _by_month(positions: Iterable[Position], most: int) -> Iterator[tuple[str, list[Position]]]:
    months: dict[str, list[Position]] = {}
    for position in positions:
        months.setdefault(month_of(position.observed_at), []).append(position)
    for month, found in months.items():
        for start in range(0, len(found), most):
            yield month, found[start : start + most]


def _encode(positions: list[Position], key: Key) -> Iterator[dict[str, bytes]]:
    batch: dict[str, bytes] = {}
    size = 0
    for position in positions:
        document = to_document(position, key=key)
        body = msgspec.json.encode(document)
        if batch and size + len(body) > BATCH_BYTES:
            yield batch
            batch, size = {}, 0
        batch[document["_id"]] = body
        size += len(body) + 1
    if batch:
        yield batch


def _touched(existing: list[str], start: int, end: int) -> list[str]:
    """The months that have a part in a range of time, in order; without `OTHER`."""
    return [month for month in existing if month != OTHER and month_start(month) < end and month_end(month) > start]
