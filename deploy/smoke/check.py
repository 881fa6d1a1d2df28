"""The way of one position, step by step, seen from outside."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from core.clock import Clock, format_rfc3339, parse_rfc3339, system_clock
from core.kinds import Kind
from deploy.smoke.api import Api
from deploy.smoke.device import Device
from deploy.smoke.failed import CheckFailedError
from deploy.smoke.place import Place, anywhere, quietest

PAUSE_SECONDS = 0.2
_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
_DEAD_LETTERS = "`python -m decoder dead-letters` tells what could not be used"


class Check:
    """Sends one position and looks for it everywhere. Each step is told with the seconds since the beginning."""

    def __init__(
        self,
        api: Api,
        device: Device,
        *,
        kind: Kind,
        device_id: str,
        limit: float,
        say: Callable[[str], None],
        elapsed: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        clock: Clock = system_clock,
    ) -> None:
        """`limit` is how many seconds a step may take."""
        self._api = api
        self._device = device
        self._kind = kind
        self._device_id = device_id
        self._limit = limit
        self._say = say
        self._elapsed = elapsed
        self._sleep = sleep
        self._clock = clock
        self._began = elapsed()

    def run(self) -> None:
        """Return once the position was seen everywhere. Raises Failed.

        Where counts are protected nobody is told of one position: then, once released counts are told and are fresh.
        """
        zones, occupancy = self._api.get("/v1/zones"), self._api.get("/v1/occupancy")
        if self._is_protected(occupancy["zones"][0]["zone"]):
            self._run_protected(anywhere(zones))
            return
        place = quietest(zones, occupancy, self._kind)
        path = f"/v1/zones/{place.zone}/occupancy"
        before = self._api.get(path)
        self._tell(f"the API answers; zone {place.zone} has {self._count(before)} of kind {self._kind.id}")
        with self._api.events(place.zone) as events:
            next(events)
            self._tell("the event stream has begun")
            topic = self._kind.topic
            self._device.publish(topic, payload(place, self._device_id))
            self._tell(f"the broker has acknowledged a position of device {self._device_id} on {topic}")
            after = self._until_counted(path, before)
            self._tell(f"it is counted: {path} has {self._count(after)}, observed at {after['observed_at']}")
            self._until_told(events, before)
            self._tell("an event has told of it")
        window = self._until_kept(path, parse_rfc3339(after["observed_at"]))
        self._tell(f"the history has it: {window['devices']} in the minute from {window['start']}")

    def _is_protected(self, zone: str) -> bool:
        now = self._clock()
        query = {
            "kind": self._kind.id,
            "window": "1h",
            "start": format_rfc3339(now - _HOUR_MS),
            "end": format_rfc3339(now),
        }
        return self._api.get(f"/v1/zones/{zone}/occupancy/history", **query).get("protected") is True

    def _run_protected(self, place: Place) -> None:
        self._tell("the API answers; counts are protected, so that nothing tells of one position")
        self._device.publish(self._kind.topic, payload(place, self._device_id))
        self._tell(f"the broker has acknowledged a position of device {self._device_id} on {self._kind.topic}")
        fresh = self._first(lambda: None if self._api.get("/v1/occupancy")["stale"] else True)
        if fresh is None:
            raise CheckFailedError(
                f"/v1/occupancy: released counts are stale, still after {self._limit:g} s: does a decoder run with the "
                "stage release, and do its stores answer?"
            )
        self._tell("released counts are fresh")

    def _tell(self, what: str) -> None:
        self._say(f"{self._elapsed() - self._began:6.2f} s  {what}")

    def _count(self, body: Any) -> int:  # noqa: ANN401 - an occupancy
        return int(body[self._kind.id] or 0)

    def _is_news(self, body: Any, before: Any) -> bool:  # noqa: ANN401 - occupancies
        """Whether somebody of the kind is there, and was seen after `before`; by the system's clock, not by ours."""
        if not self._count(body) or body["observed_at"] is None:
            return False
        seen = before["observed_at"]
        return seen is None or parse_rfc3339(body["observed_at"]) > parse_rfc3339(seen)

    def _until_counted(self, path: str, before: Any) -> Any:  # noqa: ANN401 - occupancies
        latest = before

        def look() -> Any:  # noqa: ANN401
            nonlocal latest
            latest = self._api.get(path)
            return latest if self._is_news(latest, before) else None

        found = self._first(look)
        if found is None:
            lag = latest["lag_seconds"]
            raise CheckFailedError(
                f"{path}: the position was acknowledged and is not counted after {self._limit:g} s. "
                + (
                    f"The decoder is {lag} s behind: does it run, and are its stores there?"
                    if lag
                    else f"The decoder is not behind, so it was not accepted: may this user publish as a "
                    f"{self._kind.id}, and as device {self._device_id}? {_DEAD_LETTERS}"
                )
            )
        return found

    def _until_told(self, events: Iterator[tuple[str, Any]], before: Any) -> None:  # noqa: ANN401 - an occupancy
        until = self._elapsed() + self._limit
        for name, body in events:
            if name == "occupancy" and self._is_news(body, before):
                return
            if self._elapsed() > until:
                break
        raise CheckFailedError(f"/v1/events: no event has told of the position within {self._limit:g} s")

    def _until_kept(self, path: str, observed_at: int) -> Any:  # noqa: ANN401 - a window
        start = observed_at - observed_at % _MINUTE_MS
        query = {
            "kind": self._kind.id,
            "window": "1m",
            "start": format_rfc3339(start),
            "end": format_rfc3339(start + _MINUTE_MS),
        }

        def look() -> Any:  # noqa: ANN401
            windows = self._api.get(f"{path}/history", **query)["points"]
            return next((window for window in windows if window["devices"]), None)

        found = self._first(look)
        if found is None:
            raise CheckFailedError(
                f"{path}/history: the position is counted, but not in the history after {self._limit:g} s: "
                "does the decoder reach its time-series store?"
            )
        return found

    def _first(self, look: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it looks for
        until = self._elapsed() + self._limit
        while (found := look()) is None and self._elapsed() < until:
            self._sleep(PAUSE_SECONDS)
        return found


def payload(place: Place, device_id: str) -> bytes:
    """A position as a device sends it: base64 of GeoJSON, without a time, so that it is when the broker receives it."""
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [place.longitude, place.latitude]},
        "properties": {"device_id": device_id},
    }
    return base64.b64encode(json.dumps(feature).encode())
