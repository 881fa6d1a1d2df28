"""Who may do what with the documents on a CouchDB: users that write, read and erase, and none that may do all.

An administrator makes the databases of months, these users, and what every database says of them: who is let in
(`_security`), and a design document by which one role writes what is new, one deletes, and one does neither. Nobody
changes a position. `python -m documents setup` does it, and again each day: for the month that comes next.
"""

import hashlib
import hmac
import io
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from ibm_cloud_sdk_core.detailed_response import DetailedResponse
from ibmcloudant.cloudant_v1 import CloudantV1, DesignDocument, SecurityObject

from core.errors import UnavailableError
from documents.couch import Call, CouchServer
from documents.writing import PROBE_DEVICE

USERS = "_users"
DESIGN = "rights"
"""The design document of each database that says who writes what."""
_ATTEMPTS = 5
"""Of several that make the same at the same time, one does, and the others look again."""

Kept = dict[str, Any]
Write = Callable[[CloudantV1, Kept], DetailedResponse]

_log = structlog.stdlib.get_logger("documents")


class Right(StrEnum):
    """What a user is for; the user has that name, and a role like it."""

    WRITER = "writer"  # stores positions: a decoder
    READER = "reader"  # a backup, analytics
    ERASER = "eraser"  # reads, and deletes what somebody wants forgotten: the API

    @property
    def role(self) -> str:
        """Its role: `_security` and the design document name no users."""
        return f"campus-{self}"


_CHECK = f"""function (doc, old, user) {{
  function is(role) {{ return user.roles.indexOf(role) >= 0; }}
  if (is('_admin')) return;
  if (doc._deleted) {{
    if (is('{Right.ERASER.role}')) return;
    if (is('{Right.WRITER.role}') && doc._id.indexOf('{PROBE_DEVICE}-') === 0) return;
    throw({{forbidden: 'only an eraser deletes positions'}});
  }}
  if (!is('{Right.WRITER.role}')) throw({{forbidden: 'only a writer stores positions'}});
  if (old) throw({{forbidden: 'a position that is stored stays as it is'}});
}}"""


class Rights:
    """Users and their rights, as an administrator makes them."""

    def __init__(self, server: CouchServer, passwords: Mapping[Right, str]) -> None:
        """`server` is entered as an administrator; each right has its password."""
        self._server = server
        self._passwords = passwords

    async def make_users(self) -> None:
        """Make the users, and give those that are there the passwords and roles that they should have."""
        # One node alone makes it by itself, a cluster where it is set up.
        await self._server.ask(USERS, lambda client: client.put_database(USERS), HTTPStatus.PRECONDITION_FAILED)
        for right, password in self._passwords.items():
            name = f"org.couchdb.user:{right}"

            def read(client: CloudantV1, name: str = name) -> DetailedResponse:
                return client.get_document(USERS, name)

            def write(client: CloudantV1, user: Kept, name: str = name) -> DetailedResponse:
                return client.put_document(USERS, name, io.BytesIO(msgspec.json.encode(user)))

            if await self._made(USERS, read, write, _user(right, password), is_right=_has(right, password)):
                _log.info("user of the document store made", user=str(right))

    async def guard(self, database: str) -> None:
        """Let these users into a database, each to do its own."""

        def read(client: CloudantV1) -> DetailedResponse:
            return client.get_design_document(database, DESIGN)

        def write(client: CloudantV1, design: Kept) -> DetailedResponse:
            return client.put_design_document(database, DESIGN, DesignDocument.from_dict(design))

        check = {"_id": f"_design/{DESIGN}", "language": "javascript", "validate_doc_update": _CHECK}
        await self._made(database, read, write, check, is_right=lambda old: old.get("validate_doc_update") == _CHECK)
        # Last: whoever is let in finds the design document there.
        admins = {"roles": ["_admin"]}
        members = {"roles": ["_admin", *(right.role for right in Right)]}
        found = await self._server.ask(database, lambda client: client.get_security(database))
        if (found.get("members"), found.get("admins")) != (members, admins):
            let_in, all_of_it = SecurityObject.from_dict(members), SecurityObject.from_dict(admins)
            await self._server.ask(
                database, lambda client: client.put_security(database, members=let_in, admins=all_of_it)
            )

    async def _made(
        self, database: str, read: Call, write: Write, document: Kept, *, is_right: Callable[[Kept], bool]
    ) -> bool:
        """Whether a document was written: it was not there, or was not right."""
        for _ in range(_ATTEMPTS):
            old = await self._server.ask(database, read, HTTPStatus.NOT_FOUND)
            if old and is_right(old):
                return False
            wanted = document | ({"_rev": old["_rev"]} if old else {})
            if await self._server.ask(database, partial(_with, write, wanted), HTTPStatus.CONFLICT) is not None:
                return True
        raise UnavailableError(f"{self._server.name(database)}: somebody else writes the same again and again")


def _with(write: Write, document: Kept, client: CloudantV1) -> DetailedResponse:
    return write(client, document)


def _user(right: Right, password: str) -> Kept:
    name = f"org.couchdb.user:{right}"
    return {"_id": name, "name": str(right), "type": "user", "roles": [right.role], "password": password}


def _has(right: Right, password: str) -> Callable[[Kept], bool]:
    """Whether a user has this role alone, and this password; of an unknown way to keep that, no.

    A user that is written anew has another salt, which ends the sessions of who is logged in.
    """

    def has(old: Kept) -> bool:
        try:
            kept, rounds = bytes.fromhex(old["derived_key"]), int(old["iterations"])
            salt, digest = str(old["salt"]).encode(), str(old.get("pbkdf2_prf") or "sha1")
            derived = hashlib.pbkdf2_hmac(digest, password.encode(), salt, rounds, len(kept))
        except (KeyError, TypeError, ValueError):
            return False
        return old.get("roles") == [right.role] and hmac.compare_digest(derived, kept)

    return has
