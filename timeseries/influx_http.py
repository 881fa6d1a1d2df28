"""InfluxDB's HTTP API, as far as it is needed here: https://docs.influxdata.com/influxdb/v2/api/."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import aiohttp

from core.errors import Unanswered, Unavailable
from timeseries.influx_answers import AnswerError, Call, printable

TIMEOUT_SECONDS = 30.0
SUCCESS = range(200, 300)
Parameter = str | int | datetime
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROW_END = b"\r\n"


class InfluxHttp:
    """A client of one server and organization. Use it as a context manager, inside the event loop that it works in.

    Every method raises AnswerError for an answer that is no success, and Unavailable without one: Unanswered where
    something was to be written, and may be written yet.
    """

    def __init__(self, *, url: str, org: str, token: str) -> None:
        """Nothing is asked before the first call."""
        self._url = url.rstrip("/")
        self._org = org
        self._headers = {"Authorization": f"Token {token}"}

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def write(self, bucket: str, lines: str) -> None:
        """Write points in line protocol, with times in milliseconds."""
        parameters = {"org": self._org, "bucket": bucket, "precision": "ms"}
        async for _ in self._ask(Call.WRITE, "POST", "/api/v2/write", parameters, lines.encode()):
            pass

    async def query(self, flux: str, parameters: Mapping[str, Parameter]) -> AsyncGenerator[list[str]]:
        """The rows of all tables that a query gives, without those that name columns; as they come.

        The first three columns are the annotation, the name of the result and the number of the table. `parameters`
        are bound with their types: nothing is put into the text of a query. An answer that breaks off raises
        Unavailable.
        """
        body = {"query": flux, "extern": _bound(parameters), "dialect": {"header": True, "annotations": []}}
        rest, names, failed = b"", True, False
        ask = self._ask(Call.QUERY, "POST", "/api/v2/query", {"org": self._org}, json.dumps(body).encode())
        async with aclosing(ask) as parts:
            async for part in parts:
                *rows, rest = (rest + part).split(_ROW_END)
                for row in rows:
                    columns = row.decode().split(",")
                    if failed:
                        raise Unavailable(f"InfluxDB broke off its answer: {printable(','.join(columns).strip(','))}")
                    # An answer begins with a row that names columns, and so does what follows an empty row.
                    failed = names and "error" in columns[:2]
                    if row and not names:
                        yield columns
                    names = not row

    async def delete(self, bucket: str, predicate: str, *, start: int, last: int) -> None:
        """Delete the points of [start, last], ms since the epoch, that a predicate of InfluxDB's own names."""
        body = {"start": _rfc3339(start), "stop": _rfc3339(last), "predicate": predicate}
        ask = self._ask(
            Call.SETUP, "POST", "/api/v2/delete", {"org": self._org, "bucket": bucket}, json.dumps(body).encode()
        )
        async for _ in ask:
            pass

    async def json(
        self, method: str, path: str, *, parameters: Mapping[str, str] | None = None, body: object = None
    ) -> Any:  # noqa: ANN401 - JSON
        """Ask for a resource; its JSON."""
        data = None if body is None else json.dumps(body).encode()
        content = b"".join([part async for part in self._ask(Call.SETUP, method, path, parameters or {}, data)])
        try:
            return json.loads(content)
        except ValueError as error:
            raise Unavailable(
                f"InfluxDB answers what is no JSON: {printable(content.decode(errors='replace'))}"
            ) from error

    async def _ask(
        self, call: Call, method: str, path: str, parameters: Mapping[str, str], body: bytes | None
    ) -> AsyncGenerator[bytes]:
        broken_off = Unanswered if call is Call.WRITE else Unavailable
        try:
            async with self._session.request(
                method, f"{self._url}{path}", params=parameters, data=body, allow_redirects=False
            ) as answer:
                if answer.status not in SUCCESS:
                    words = _words(await answer.text(errors="replace"))
                    raise AnswerError(call, answer.status, words, answer.headers.get("Retry-After"))
                async for part in answer.content.iter_any():
                    yield part
        except aiohttp.ClientConnectorError as error:
            raise Unavailable(f"InfluxDB does not answer: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise broken_off(f"InfluxDB does not answer: {error or type(error).__name__}") from error


def _words(text: str) -> str:
    """The message of an error: InfluxDB's are JSON, those of what is between here and there are not."""
    try:
        message = json.loads(text)["message"]
    except (ValueError, TypeError, KeyError):
        return text
    return str(message)


def _rfc3339(at_ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def _bound(parameters: Mapping[str, Parameter]) -> dict[str, object]:
    """A file of Flux's syntax tree that assigns each parameter as a literal of its type."""
    return {
        "imports": [],
        "body": [
            {
                "type": "OptionStatement",
                "assignment": {
                    "type": "VariableAssignment",
                    "id": {"type": "Identifier", "name": name},
                    "init": _literal(value),
                },
            }
            for name, value in parameters.items()
        ],
    }


def _literal(value: Parameter) -> dict[str, str]:
    if isinstance(value, datetime):
        return {"type": "DateTimeLiteral", "value": f"{value:%Y-%m-%dT%H:%M:%S.%f}000Z"}
    if isinstance(value, int):
        return {"type": "IntegerLiteral", "value": str(value)}
    return {"type": "StringLiteral", "value": value}
