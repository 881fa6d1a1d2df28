"""What the errors of InfluxDB and of its client mean."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from influxdb_client.client.flux_csv_parser import FluxCsvParserException, FluxQueryException
from influxdb_client.rest import ApiException

from core.errors import Unavailable

REFUSED = frozenset({401, 403})
NOT_FOUND = 404
UNPROCESSABLE = 422
TOO_MANY = 429
TIMED_OUT = 408
SERVER_ERRORS = 500
LONGEST_WAIT_SECONDS = 3600.0


@contextmanager
def influx_errors() -> Iterator[None]:
    """Turn what means "not now" into `Unavailable`; other errors of InfluxDB are defects and pass through.

    A token that is refused and a bucket that is gone mean "not now" as well: an operator can put both right while we
    wait, and what waits is not lost.
    """
    try:
        yield
    except ApiException as error:
        if error.status in REFUSED:
            raise Unavailable(f"InfluxDB refuses INFLUXDB_V2_TOKEN: {error.message}") from error
        if error.status == NOT_FOUND:
            hint = "python -m timeseries setup makes missing buckets"
            raise Unavailable(f"InfluxDB lacks a bucket or INFLUXDB_V2_ORG: {error.message} ({hint})") from error
        if error.status in {TIMED_OUT, TOO_MANY} or error.status >= SERVER_ERRORS:
            raise Unavailable(
                f"InfluxDB answers {error.status}: {error.message}", retry_after=_seconds(error.retry_after)
            ) from error
        raise
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable(f"InfluxDB does not answer: {error or type(error).__name__}") from error
    except (FluxQueryException, FluxCsvParserException) as error:
        raise Unavailable(f"InfluxDB broke off its answer: {getattr(error, 'message', error)}") from error


def _seconds(retry_after: str | None) -> float | None:
    """The wait in a Retry-After; InfluxDB writes seconds, so a date is as good as none."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS) if math.isfinite(seconds) else None
