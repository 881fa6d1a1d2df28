"""What the errors of InfluxDB and of its client mean."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from influxdb_client.client.flux_csv_parser import FluxCsvParserException, FluxQueryException
from influxdb_client.rest import ApiException

from core.errors import Unanswered, Unavailable

REFUSED = frozenset({401, 403})
NOT_FOUND = 404
UNPROCESSABLE = 422
TOO_MANY = 429
TIMED_OUT = 408
SERVER_ERRORS = 500
NOT_NOW = 503
LONGEST_WAIT_SECONDS = 3600.0
LONGEST_MESSAGE = 300
"""Characters: a proxy in front of InfluxDB answers with whole pages, and all of it would be in /readyz."""


@contextmanager
def influx_errors(*, writing: bool = False) -> Iterator[None]:
    """Turn what means "not now" into `Unavailable`; other errors of InfluxDB are defects and pass through.

    A token that is refused and a bucket that is gone mean "not now" as well: an operator can put both right while we
    wait, and what waits is not lost. Where it is `writing`, and may have been asked, they are `Unanswered`: what was
    sent may be waiting in the server still.
    """
    broken_off = Unanswered if writing else Unavailable
    try:
        yield
    except ApiException as error:
        if error.status in REFUSED:
            raise Unavailable(f"InfluxDB refuses INFLUXDB_V2_TOKEN: {said(error)}") from error
        if error.status == NOT_FOUND:
            hint = "python -m timeseries setup makes missing buckets"
            raise Unavailable(f"InfluxDB lacks a bucket or INFLUXDB_V2_ORG: {said(error)} ({hint})") from error
        if error.status in {TIMED_OUT, TOO_MANY} or error.status >= SERVER_ERRORS:
            kind = Unavailable if error.status in {TOO_MANY, NOT_NOW} else broken_off
            raise kind(
                f"InfluxDB answers {error.status}: {said(error)}", retry_after=_seconds(error.retry_after)
            ) from error
        raise
    except aiohttp.ClientConnectorError as error:
        raise Unavailable(f"InfluxDB does not answer: {error}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise broken_off(f"InfluxDB does not answer: {error or type(error).__name__}") from error
    except (FluxQueryException, FluxCsvParserException) as error:
        raise Unavailable(f"InfluxDB broke off its answer: {said(error)}") from error


def said(error: Exception) -> str:
    """What InfluxDB said, without line ends and other controls, and no more than `LONGEST_MESSAGE` of it."""
    message = str(getattr(error, "message", None) or error)[:LONGEST_MESSAGE]
    return "".join(character if character.isprintable() else " " for character in message)


def _seconds(retry_after: str | None) -> float | None:
    """The wait in a Retry-After; InfluxDB writes seconds, so a date is as good as none."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS) if math.isfinite(seconds) else None
