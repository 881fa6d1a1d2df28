"""A server that speaks CouchDB's HTTP: IBM's SDK in threads of its own, and what its errors mean."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from ibm_cloud_sdk_core.api_exception import ApiException
from ibm_cloud_sdk_core.detailed_response import DetailedResponse
from ibm_cloud_sdk_core.token_managers.token_manager import TokenManager
from ibmcloudant.cloudant_v1 import CloudantV1
from requests import RequestException, Response

from core.errors import BadSettingsError, UnansweredError, UnavailableError
from documents.answers import (
    Meaning,
    MissingError,
    NotAllowedError,
    RefusedRequestError,
    is_not_allowed,
    meaning,
    shown,
    words_of,
)

THREADS = 10
"""Requests at a time: the SDK is synchronous, and its pool keeps ten connections."""
CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
"""How long an answer may take. A stop has 10 s in all: 4 of them for what is in hand, then a thread may still wait."""
RETRY_AFTER_MAX_SECONDS = 3600.0

_LOGIN = "CLOUDANT_USERNAME and CLOUDANT_PASSWORD, or CLOUDANT_APIKEY"

LIST = ""
"""Of `ask`: what the answer is, instead of what it holds."""
Call = Callable[[CloudantV1], DetailedResponse]
Answer = TypeVar("Answer")


class CouchServer:
    """One server, asked by at most `THREADS` requests at a time.

    Logs in as the SDK's own variables say (CLOUDANT_AUTH_TYPE and what belongs to it). Raises BadSettingsError where
    they cannot work, or where the server refuses them from the first. A login that has worked once and is refused later
    is UnavailableError: the counts need not stop because somebody took a key away.
    """

    def __init__(self, url: str) -> None:
        self._url = _checked(url)
        self._client = _client(self._url)
        self._let_in = False
        self._executor = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="documents-cloudant")

    async def in_thread(self, work: Callable[[], Answer]) -> Answer:
        """Work that would hold the event loop up."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def ask(
        self, database: str, call: Call, *expected: HTTPStatus, holds: str | None = None, writes: bool = False
    ) -> Any:  # noqa: ANN401 - JSON of several shapes
        """The answer's JSON; None for an `expected` status.

        It is an object; if it `holds` something, a list of that name is in it; `LIST`: it is a list itself. `writes` is
        said of documents. Raises what `documents.answers` says, each of it UnavailableError, or BadSettingsError;
        `database` is named in the message.
        """
        return await self.in_thread(lambda: self._answer(database, call, expected, holds=holds, writes=writes))

    def name(self, database: str) -> str:
        """The database, as messages name it."""
        return f"the database {database} on {urlsplit(self._url).hostname}"

    def close(self) -> None:
        """Start nothing more, and close the connections that are idle."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        _close(self._client)

    def _answer(
        self, database: str, call: Call, expected: tuple[HTTPStatus, ...], *, holds: str | None, writes: bool
    ) -> Any:  # noqa: ANN401
        client = self._client
        try:
            try:
                answer = call(client).get_result()
            except ApiException as error:
                if error.status_code != HTTPStatus.UNAUTHORIZED:
                    raise
                # A session ends before its time where the server starts anew with another secret: log in again, once.
                self._client = _client(self._url)
                _close(client)
                answer = call(self._client).get_result()
        except ApiException as error:
            _let_log_in(self._client)
            if error.status_code in expected:
                return None
            raise self._error(error, database, writes=writes) from error
        except RequestException as error:
            _let_log_in(self._client)
            raise UnansweredError(f"{self.name(database)} does not answer: {type(error).__name__}") from error
        except StopIteration as error:
            # The SDK looks for the cookie of the session with a bare `next`. Out of a thread it would never come: a
            # future takes no StopIteration, and whoever waits for it waits for ever.
            _let_log_in(self._client)
            raise UnavailableError(f"{self.name(database)} answered a login without a session") from error
        if not isinstance(answer, dict | list):
            raise UnavailableError(f"{self.name(database)} answered, but not in JSON")
        if not _fits(answer, holds):
            raise UnavailableError(
                f"{self.name(database)} answered something else than was asked for: is it a CouchDB?"
            )
        self._let_in = True
        return answer

    def _error(self, error: ApiException, database: str, *, writes: bool) -> BadSettingsError | UnavailableError:
        """What an answer means that is no success."""
        name, status, response = self.name(database), error.status_code or 0, error.http_response
        called, words = words_of(error)
        # IBM Cloud's tokens come from another server, which says 400 of a key that it does not know.
        elsewhere = response is not None and urlsplit(response.url).hostname != urlsplit(self._url).hostname
        found = meaning(status, called, writes=writes)
        if elsewhere and found is not Meaning.LOGIN:
            found = Meaning.LOGIN if status == HTTPStatus.BAD_REQUEST else Meaning.WAIT
        if found is Meaning.LOGIN and is_not_allowed(words):
            return NotAllowedError(
                f"{name}: {words} python -m documents setup makes what is missing, as an administrator"
            )
        if found is Meaning.LOGIN:
            message = f"{_LOGIN}: {name} refuses it: {words}"
            return UnavailableError(message) if self._let_in else BadSettingsError(message)
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return UnavailableError(f"{name} broke its answer off")
        message = f"{name} answers {status}: {words}"
        if found is Meaning.MISSING:
            return MissingError(f"{message}. python -m documents setup makes what is missing")
        if found is Meaning.SPLIT:
            return RefusedRequestError(message, words)
        return UnavailableError(message, retry_after=_retry_after(response))


def _fits(answer: dict[str, Any] | list[Any], holds: str | None) -> bool:
    if holds == LIST or isinstance(answer, list):
        return holds == LIST and isinstance(answer, list)
    return holds is None or (
        isinstance(found := answer.get(holds), list) and all(isinstance(each, dict) for each in found)
    )


def _checked(url: str) -> str:
    if not url:
        raise BadSettingsError(
            "CLOUDANT_URL: not set; DOCUMENT_STORE=cloudant needs the server's address, https://host"
        )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadSettingsError("CLOUDANT_URL: not an address such as https://host or http://localhost:5984")
    return url


def _client(url: str) -> CloudantV1:
    try:
        client = CloudantV1.new_instance()
        client.set_service_url(url)
    except ValueError as error:
        raise BadSettingsError(f"CLOUDANT_AUTH_TYPE and what belongs to it ({_LOGIN}): {error}") from error
    client.set_http_config({"timeout": (CONNECT_SECONDS, READ_SECONDS)})
    # Before the SDK's own hook, which fails over an error that is no object.
    client.get_http_client().hooks["response"].insert(0, _as_object)
    # The archive stage retries, and it alone: two that do would multiply.
    client.disable_retries()  # type: ignore[no-untyped-call]
    return client


def _as_object(response: Response, *_: object, **__: object) -> None:
    """Make an object of an error in JSON that is none, such as the rows by which CouchDB says that its disk is full.

    The first row that has an error stands for all of them: the request is one that was not served.
    """
    if response.status_code < HTTPStatus.BAD_REQUEST:
        return
    try:
        body = response.json()
    except ValueError:
        return
    if not isinstance(body, dict):
        rows = [row for row in body if isinstance(row, dict)] if isinstance(body, list) else []
        error = next(((row["error"], row.get("reason")) for row in rows if "error" in row), (shown(body), None))
        response._content = msgspec.json.encode({"error": str(error[0]), "reason": str(error[1] or "")})  # noqa: SLF001 - requests has no other way


def _let_log_in(client: CloudantV1) -> None:
    """Let the next request log in, if the last one has tried and failed.

    The SDK has all others wait for a minute for a login that is under way, and does not notice that one has failed.
    """
    manager = getattr(client.authenticator, "token_manager", None)
    if isinstance(manager, TokenManager):
        manager.request_time = 0


def _close(client: CloudantV1) -> None:
    client.get_http_client().close()


def _retry_after(response: Response | None) -> float | None:
    """RFC 9110, section 10.2.3: seconds, or a date, which is read against the answer's own date."""
    if response is None:
        return None
    text = response.headers.get("Retry-After", "")
    try:
        if text.isdecimal():
            seconds = float(text)
        else:
            ends, now = parsedate_to_datetime(text), parsedate_to_datetime(response.headers["Date"])
            seconds = (ends - now).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_SECONDS)
