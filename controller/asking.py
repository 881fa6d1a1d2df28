"""Asks an HTTP server for JSON, with a bound to what it may answer and to how long that may take."""

from collections.abc import Mapping
from http import HTTPStatus
from ssl import SSLContext

import aiohttp

from core.errors import UnavailableError
from runtime.bounded import TooLongError, read_bounded
from state.apps import Instance

TIMEOUT_SECONDS = 2.0


async def ask(
    session: aiohttp.ClientSession,
    url: str,
    *,
    limit: int,
    headers: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
    tls: SSLContext | bool = True,
) -> bytes:
    """The body of an answer 200. Raises UnavailableError for any other, for more than `limit` bytes, or none in 2 s."""
    try:
        async with session.get(
            url,
            headers=headers,
            params=parameters,
            ssl=tls,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            allow_redirects=False,
        ) as answer:
            body = await read_bounded(answer.content, limit)
            if answer.status != HTTPStatus.OK:
                raise UnavailableError(f"{url} answers {answer.status}: {body[:200].decode(errors='replace')}")
            return body
    except TooLongError as error:
        raise UnavailableError(f"the answer of {url} is {error}") from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise UnavailableError(f"{url} does not answer: {error or 'too slow'}") from error


def url_of(instance: Instance) -> str:
    """The beginning of each URL of an instance, without a path."""
    host = f"[{instance.address}]" if ":" in instance.address else instance.address
    return f"http://{host}:{instance.port}"
