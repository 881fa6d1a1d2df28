"""Documents to a database: which are stored, and which the server will never take.

A document is given up only on good evidence, for nothing of it is kept. A server that was set up wrongly for a minute,
or a proxy before it, refuses everything, and then the whole backlog would be given up. So whenever something is refused
a probe is sent: a document made here, like the others, under a key of its own. Where the probe is refused, too, it is a
"no" for all, and we wait. Where it is taken, what was refused is sent again, each document on its own, and what is then
refused once more is given up. The probe is deleted. Should it stay: it is in no zone, and counts nowhere.
"""

import random
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from core.errors import UnavailableError
from core.messages import Position
from documents.answers import RefusedRequestError, shown
from documents.database import CONFLICT, Database, Row
from documents.document import to_document

PROBE_DEVICE = "probe"
REFUSED = {"forbidden", "unauthorized", "doc_validation", "bad_request", "illegal_docid", "document_too_large"}
"""What a row says of a document that will never be stored: what CouchDB's chttpd.erl has a 4xx for.

All else holds for the moment. There is no list of that: where a node is away, the text is the name of an error of
Erlang's, such as `nodedown`, `write_quorum_not_met` or just `error`.
"""


@dataclass(slots=True)
class Written:
    """What became of documents."""

    new: int = 0
    """How many were stored; the others were there already."""
    refused: dict[str, str] = field(default_factory=dict)
    """What the server said of each that it does not take, by id."""


async def write(database: Database, documents: dict[str, bytes], like: Position) -> Written | None:
    """Write documents, by id as JSON; None if the database is not there. `like` is the position of one of them.

    Raises UnavailableError where not all of them are stored or refused for good.
    """
    rows = await _in_parts(database, documents, like, probed=False)
    if rows is None:
        return None
    written = _read(database, documents, rows)
    if written.refused:
        await _probe(database, like)
        suspects, written.refused = written.refused, {}
        for name in suspects:
            again = await _in_parts(database, {name: documents[name]}, like, probed=True)
            if again is None:
                return None
            one = _read(database, [name], again)
            written.new += one.new
            written.refused |= one.refused
    return written


async def _in_parts(
    database: Database, documents: dict[str, bytes], like: Position, *, probed: bool
) -> list[Row] | None:
    """A row for each document; a request that is refused as a whole is tried in halves, down to single documents."""
    try:
        return await database.put(documents)
    except RefusedRequestError as error:
        # Not before it is known that a smaller request could help: it would be a thousand of them.
        if not probed:
            await _probe(database, like)
        if len(documents) == 1:
            return [{"id": name, "error": "bad_request", "reason": error.words} for name in documents]
    rest = iter(documents.items())
    rows: list[Row] = []
    for half in (dict(islice(rest, len(documents) // 2)), dict(rest)):
        found = await _in_parts(database, half, like, probed=True)
        if found is None:
            return None
        rows += found
    return rows


async def _probe(database: Database, like: Position) -> None:
    """Return if the server takes a document that there is nothing wrong with.

    Raises UnavailableError with its words.
    """
    made_up = msgspec.structs.replace(
        like, device=PROBE_DEVICE, longitude=0.0, latitude=0.0, altitude=None, zones=(), cell=""
    )
    name = f"{PROBE_DEVICE}-{random.randrange(10**15):015d}"  # noqa: S311 - no secret, only another one each time
    body = msgspec.json.encode(to_document(made_up, key=lambda _: name))
    try:
        rows = await database.put({name: body})
    except RefusedRequestError as error:
        raise UnavailableError(f"{database.told} refuses every document: {error.words}") from error
    for row in rows or []:
        if row.get("error") in REFUSED:
            raise UnavailableError(f"{database.told} refuses every document: {_said(row)}")
    if not rows or not rows[0].get("ok"):
        raise UnavailableError(
            f"{database.told} does not say whether it takes documents: {_said(rows[0]) if rows else ''}"
        )
    with suppress(UnavailableError):
        await database.erase(PROBE_DEVICE, 100)


def _read(database: Database, names: dict[str, bytes] | list[str], rows: list[Row]) -> Written:
    """Each row; one that is missing, or says something else, means that the document is not stored yet."""
    written = Written()
    answers = {row.get("id"): row for row in rows}
    for name in names:
        row = answers.get(name, {"error": "no answer"})
        if row.get("ok"):
            written.new += 1
        elif row.get("error") in REFUSED:
            written.refused[name] = _said(row)
        elif row.get("error") != CONFLICT:
            raise UnavailableError(f"{database.told} did not store all of a batch: {_said(row)}")
    return written


def _said(row: Row) -> str:
    error, reason = row.get("error"), row.get("reason")
    return shown(f"{error}: {reason}" if reason else f"{error}")
