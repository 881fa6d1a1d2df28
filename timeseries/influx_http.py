"""InfluxDB's HTTP API by its own client, as far as it is needed here: https://docs.influxdata.com/influxdb/v2/api/."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import aiohttp
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.domain.dialect import Dialect
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from core.errors import UnansweredError, UnavailableError
from timeseries.influx_answers import AnswerError, Call, printable

TIMEOUT_MS = 30_000
Parameter = str | int | datetime
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROW_END = "\r\n"
_JSON = {"Accept": "application/json", "Content-Type": "application/json"}


class InfluxHttp:
    """A client of one server and organization. Use it as a context manager, inside the event loop that it works in.

    Every method raises AnswerError for an answer that is no success, and UnavailableError without one: UnansweredError
    where something was to be written, and may be written yet.
    """

    def __init__(self, *, url: str, org: str, token: str) -> None:
        """Nothing is asked before the first call."""
        self._url = url
        self._org = org
        self._token = token

    async def __aenter__(self) -> Self:
        # The client must be made inside the event loop that it works in.
        self._client = InfluxDBClientAsync(
            url=self._url, token=self._token, org=self._org, timeout=TIMEOUT_MS, allow_redirects=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def write(self, bucket: str, lines: str) -> None:
        """Write points in line protocol, with times in milliseconds."""
        with _answers(Call.WRITE):
            await self._client.write_api().write(
                bucket=bucket,
                record=lines,
                write_precision=WritePrecision.MS,  # type: ignore[arg-type] # its members are texts, not of its type
            )

    async def query(self, flux: str, parameters: Mapping[str, Parameter]) -> list[list[str]]:
        """The rows of all tables that a query gives, without those that name columns.

        The first three columns are the annotation, the name of the result and the number of the table. `parameters`
        are bound with their types: nothing is put into the text of a query. An answer that breaks off raises
        UnavailableError.
        """
        # The client's own parsing makes a record of each row, which takes ten times as long as all else.
        with _answers(Call.QUERY):
            text = await self._client.query_api().query_raw(
                flux, dialect=Dialect(header=True, annotations=[]), params=dict(parameters)
            )
        return _rows(text)

    async def rows(self, flux: str, parameters: Mapping[str, Parameter]) -> list[list[str]]:
        """As `query`, for whom a refusal is no other than an answer that does not come: an UnavailableError."""
        try:
            return await self.query(flux, parameters)
        except AnswerError as error:
            raise error.unavailable() from error

    async def delete(self, bucket: str, predicate: str, *, start: int, last: int) -> None:
        """Delete the points of [start, last], ms since the epoch, that a predicate of InfluxDB's own names."""
        with _answers(Call.SETUP):
            await self._client.delete_api().delete(
                _EPOCH + timedelta(milliseconds=start), _EPOCH + timedelta(milliseconds=last), predicate, bucket
            )

    async def json(
        self, method: str, path: str, *, parameters: Mapping[str, str] | None = None, body: object = None
    ) -> Any:  # noqa: ANN401 - JSON
        """Ask for a resource; its JSON."""
        with _answers(Call.SETUP):
            return await self._client.api_client.call_api(
                path,
                method,
                query_params=list((parameters or {}).items()),
                header_params=dict(_JSON),
                body=body,
                response_type="object",
                _return_http_data_only=True,
            )


@contextmanager
def _answers(call: Call) -> Iterator[None]:
    broken_off = UnansweredError if call is Call.WRITE else UnavailableError
    try:
        yield
    except ApiException as error:
        body = error.body
        text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or error.reason or "")
        raise AnswerError(call, int(error.status or 0), _words(text), error.retry_after) from error
    except aiohttp.ClientConnectorError as error:
        raise UnavailableError(f"InfluxDB does not answer: {error}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise broken_off(f"InfluxDB does not answer: {error or type(error).__name__}") from error


def _rows(text: str) -> list[list[str]]:
    rows: list[list[str]] = []
    names, failed = True, False
    for row in text.split(_ROW_END):
        columns = row.split(",")
        if failed:
            raise UnavailableError(f"InfluxDB broke off its answer: {printable(','.join(columns).strip(','))}")
        # An answer begins with a row that names columns, and so does what follows an empty row.
        failed = names and "error" in columns[:2]
        if row and not names:
            rows.append(columns)
        names = not row
    return rows


def milliseconds(text: str) -> int:
    """Milliseconds since the epoch of a time as InfluxDB writes it: in UTC, and of a whole number of them."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _words(text: str) -> str:
    """The message of an error: InfluxDB's are JSON, those of what is between here and there are not."""
    try:
        message = json.loads(text)["message"]
    except (ValueError, TypeError, KeyError):
        return text
    return str(message)
