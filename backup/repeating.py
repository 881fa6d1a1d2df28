"""Erasures repeated in a system that runs, by its API: it reaches what waits in streams and queues, too."""

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import quote

import aiohttp

from backup.progress import Shown
from backup.waiting import patiently
from core.errors import BadSettingsError, UnavailableError

TIMEOUT = aiohttp.ClientTimeout(total=60)
"""Longer than the API takes for one erasure, and than a proxy lets it."""


async def repeat(url: str, key: str, ids: Sequence[str], shown: Shown) -> None:
    """Erase devices by `DELETE /v1/devices/{id}/positions`. Raises UnavailableError; BadSettingsError for the key."""
    shown.begin("erasing", len(ids))
    async with aiohttp.ClientSession(timeout=TIMEOUT, headers={"Authorization": f"Bearer {key}"}) as session:
        for each in ids:
            address = f"{url.rstrip('/')}/v1/devices/{quote(each, safe='')}/positions"
            await patiently(lambda: _erase(session, address), shown.say)  # noqa: B023 - called at once
            shown.step()


async def _erase(session: aiohttp.ClientSession, address: str) -> None:
    try:
        async with session.delete(address) as answer:
            status, wait = answer.status, answer.headers.get("Retry-After", "")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnavailableError(f"the API does not answer: {type(error).__name__}") from error
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise BadSettingsError("API_KEY: the API refuses it: a key of scope `admin` is needed")
    if status != HTTPStatus.OK:
        retry_after = min(float(wait), 60.0) if wait.isdecimal() else None
        raise UnavailableError(f"the API answers {status} to an erasure", retry_after=retry_after)
