"""Takes a snapshot of all zones twice a second, so that nobody else has to: what events and mirror live on."""

import structlog

from api.live.dependencies import LiveResources
from core.errors import UnavailableError
from runtime.service import Stop, pause

EVERY_SECONDS = 0.5
"""Between two snapshots; with what one takes and the way to the client, a change arrives within a second."""
STALE_SECONDS = 5.0
"""Without a snapshot after which those who follow are told that the counts are old."""

_log = structlog.stdlib.get_logger("api")


async def poll_once(live: LiveResources) -> None:
    """Take a snapshot, and give it to the change log. Raises UnavailableError if Redis does not answer."""
    live.change_log.take(await live.snapshots.take())


async def run(live: LiveResources, stop: Stop) -> None:
    """Poll again and again until `stop`; then the change log is closed, so that the streams end."""
    changes = live.change_log
    seen, away = changes.elapsed(), False
    try:
        while not stop.is_set():
            try:
                await poll_once(live)
            except UnavailableError as error:
                if not away:
                    _log.warning("cannot look at the zones", error=str(error))
                away = True
                changes.missed(stale=changes.elapsed() - seen > STALE_SECONDS)
            except Exception:
                # A defect: no snapshot follows for a while.
                changes.missed(stale=True)
                raise
            else:
                seen, away = changes.elapsed(), False
            await pause(EVERY_SECONDS, stop)
    finally:
        if stop.is_set():
            changes.close()
