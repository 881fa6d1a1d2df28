"""Whether every answer can be given: what /readyz on the operations port says."""

import asyncio

from api.rooms import Rooms
from core.errors import BadSettingsError, UnavailableError
from runtime.failures import Failures
from state.codes import RedisUnavailableError
from timeseries import Width

PROBE_SECONDS = 2.0


async def readiness_problem(rooms: Rooms, failures: Failures) -> str | None:
    """What is not as it should be, as a sentence; None where Redis, store and brokers are there, and no stage fails."""
    answers = await asyncio.gather(_redis_problem(rooms), _store_problem(rooms))
    return "; ".join(text for text in (failures.problem, *answers) if text) or None


async def documents_remark(rooms: Rooms) -> str | None:
    """What the document store is building: questions that need it are answered 503 meanwhile, all others are not."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return "; ".join(await rooms.positions.documents.being_built()) or None
    except (UnavailableError, BadSettingsError, TimeoutError):
        return None


async def _redis_problem(rooms: Rooms) -> str | None:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            stale = (await rooms.occupancy.snapshots.input.status()).stale
    except RedisUnavailableError as error:
        return "Redis does not answer" if error.code is None else f"Redis says {error.code}"
    except (UnavailableError, TimeoutError):
        return "Redis does not answer"
    return rooms.ingest.watch.problem or stale


async def _store_problem(rooms: Rooms) -> str | None:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await rooms.history.store.extent(rooms.zones.campus.boundary.id, rooms.kinds.ids[0], Width.MINUTE)
    except (UnavailableError, TimeoutError):
        return "the occupancy store does not answer"
    return None
