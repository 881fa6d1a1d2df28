"""The servers that the contract tests of the stores run against."""

import os
from collections.abc import Iterator

import pytest

from tests.conftest import missing
from tests.couchdb.double import CouchDouble, is_there


@pytest.fixture(scope="session")
def cloudant_server() -> Iterator[dict[str, str]]:
    """The environment that leads to a server with the HTTP API of CouchDB.

    That is the one that CLOUDANT_URL names, if it is set; else a double of this worker's own, in memory.
    """
    given = {name: value for name, value in os.environ.items() if name.startswith("CLOUDANT_")}
    if "CLOUDANT_URL" in given:
        yield given
        return
    if not is_there():
        missing("the double of CouchDB", "install Node.js, then: npm ci --prefix tests/node")
    with CouchDouble() as double:
        yield double.environment
