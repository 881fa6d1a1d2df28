"""What a login that comes to nothing means."""

import asyncio

import pytest
from ibm_cloud_sdk_core.detailed_response import DetailedResponse
from ibmcloudant.cloudant_v1 import CloudantV1

from core.errors import UnavailableError
from documents.couch import CouchServer
from tests.conftest import WAIT_SECONDS


def without_cookie(_: CloudantV1) -> DetailedResponse:
    # As the SDK of version 0.10 does where the answer to a login has no cookie.
    raise StopIteration


async def test_a_login_that_is_answered_without_a_session_is_tried_again_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CLOUDANT_AUTH_TYPE", "COUCHDB_SESSION")
    monkeypatch.setenv("CLOUDANT_USERNAME", "campus")
    monkeypatch.setenv("CLOUDANT_PASSWORD", "secret")
    server = CouchServer("http://127.0.0.1:9")
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            with pytest.raises(UnavailableError, match="answered a login without a session"):
                await server.ask("positions", without_cookie)
    finally:
        server.close()
