"""Looks at all zones twice a second, so that nobody else has to: the one reader behind events and mirror."""

from collections.abc import Container
from dataclasses import fields, replace

import msgspec
import structlog

from api.feed import Body, Look
from api.occupancy import Occupancy, occupancy_now, occupancy_of_all
from api.state import State
from core.clock import parse_rfc3339
from core.errors import Unavailable
from core.runtime import Stop, pause

LOOK_SECONDS = 0.5
"""Between two looks; with the look itself and the way to the client, a change arrives within a second."""
STALE_SECONDS = 5.0
"""Without a look after which those who follow are told that the counts are old."""
PASSES_BY_ITSELF = frozenset({"last_updated", "ttl", "lag_seconds", "newest_input_at"})
"""Members of a body that change although nothing happens in the zone."""
_CONTENT = tuple(member.name for member in fields(Occupancy) if member.name not in PASSES_BY_ITSELF)

_log = structlog.stdlib.get_logger("api")


async def look(state: State) -> None:
    """Look once, and give it to the feed. Raises Unavailable if Redis does not answer."""
    view = state.followed.view
    zones = await occupancy_now(state, view.campus.everything)
    whole = occupancy_of_all(zones)

    def some(wanted: Container[str]) -> bytes:
        return msgspec.json.encode(replace(whole, zones=[zone for zone in zones if zone.zone in wanted]))

    state.feed.take(
        Look(
            at=parse_rfc3339(whole.last_updated),
            version=view.version,
            everything=msgspec.json.encode(whole),
            zones={zone.zone: _body(zone) for zone in zones},
            of=some,
            stale=whole.stale,
        )
    )


async def watch(state: State, stop: Stop) -> None:
    """Look again and again until `stop`; then the feed is closed, so that the streams end."""
    feed = state.feed
    seen, away = feed.elapsed(), False
    try:
        while not stop.is_set():
            try:
                await look(state)
            except Unavailable as error:
                if not away:
                    _log.warning("cannot look at the zones", error=str(error))
                away = True
                feed.missed(stale=feed.elapsed() - seen > STALE_SECONDS)
            except Exception:
                # A defect: no look follows for a while.
                feed.missed(stale=True)
                raise
            else:
                seen, away = feed.elapsed(), False
            await pause(LOOK_SECONDS, stop)
    finally:
        if stop.is_set():
            feed.close()


def _body(zone: Occupancy) -> Body:
    return Body(msgspec.json.encode(zone), tuple(getattr(zone, name) for name in _CONTENT))
