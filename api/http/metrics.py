"""What the API measures."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http import HTTPMethod

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.clock import Clock
from core.errors import Reason
from core.kinds import KindId

_METHODS = frozenset(HTTPMethod)
UNMATCHED = "unmatched"
"""The route of a request that no route was found for: a path of the client's own must not become a label."""


CLASSES = ("2xx", "3xx", "4xx", "5xx")


class ApiMetrics:
    """The metrics of one API process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # Requests by the template of their route (/v1/zones/{zone}), method, and status of the answer. HEAD is GET.
        self.requests = Counter(
            "api_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        # The same by class alone: all four are there from the start, which routes and statuses cannot be.
        self.responses = Counter("api_responses", "Requests answered, by class.", ["class"], registry=self.registry)
        for status_class in CLASSES:
            self.responses.labels(status_class)
        # From the first byte of a request that was read to the last one of its answer that was handed to the server.
        self.seconds = Histogram(
            "api_request_seconds",
            "Seconds until the answer was complete.",
            ["route", "method"],
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        # Of POST /v1/positions. Where others of the same message were taken, it is a dead letter as well.
        self.positions_refused = Counter(
            "api_positions_refused",
            "Positions, or messages as a whole, whose sender was told that they cannot be used.",
            ["reason"],
            registry=self.registry,
        )
        for reason in Reason:
            self.positions_refused.labels(reason.value)
        # How old what people are shown is: since the newest message of a kind came in, wherever that was, and since
        # this process last read what is there. NaN where nothing is known.
        self.newest_input_age = Gauge(
            "api_newest_input_age_seconds", "Age of the newest message.", ["kind"], registry=self.registry
        )
        self.snapshot_age = Gauge(
            "api_snapshot_age_seconds", "Age of the counts that are shown.", registry=self.registry
        )
        # Of GET /v1/events, in this process.
        self.streams = Gauge("api_event_streams", "Streams of events that are open.", registry=self.registry)
        self.streams_refused = Counter(
            "api_event_streams_refused",
            "Streams refused, for EVENTS_MAX_STREAMS were open, or a share of them to one address.",
            registry=self.registry,
        )
        self.streams_cut_off = Counter(
            "api_event_streams_cut_off", "Streams ended, for their client read too slowly.", registry=self.registry
        )
        # Of the mirror on MQTT. One process of all should have 1 here.
        self.mirroring = Gauge("api_mirroring", "1 while this process publishes the mirror.", registry=self.registry)
        self.mirrored = Counter(
            "api_mirrored", "Retained messages published, those that clear a topic included.", registry=self.registry
        )
        self.mirror_failures = Counter(
            "api_mirror_failures", "Connections to the broker that failed or were lost.", registry=self.registry
        )
        # Too large for the broker: such a topic holds nothing.
        self.mirror_too_large = Gauge(
            "api_mirror_too_large", "Topics whose body exceeds MIRROR_MAX_PAYLOAD.", registry=self.registry
        )
        # The broker refuses what is beyond them: MQTT has no way to say so.
        self.mirror_over_limits = Gauge(
            "api_mirror_over_limits",
            "1 while the campus needs more retained messages than RETAINED_MAX or RETAINED_MAX_BYTES allow.",
            registry=self.registry,
        )

    def follow(
        self,
        *,
        kinds: Iterable[KindId],
        newest: Callable[[], Mapping[KindId, int]],
        snapshot_at: Callable[[], int | None],
        clock: Clock,
    ) -> None:
        """Show ages from now on. `newest` and `snapshot_at` answer what is known, in ms since the epoch."""

        def age(since: int | None) -> float:
            return math.nan if since is None else max(clock() - since, 0) / 1000

        def age_of(kind: KindId) -> float:
            return age(newest().get(kind))

        for kind in kinds:
            self.newest_input_age.labels(kind).set_function(partial(age_of, kind))
        self.snapshot_age.set_function(lambda: age(snapshot_at()))


class Measured:
    """Counts and times every request of an application."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics
        self._known: dict[tuple[str, str, int], tuple[Counter, Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, sending)
        finally:
            # The router leaves the route that it found in the scope.
            route = getattr(scope.get("route"), "path", UNMATCHED)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            requests, responses, seconds = self._series(route, method, status)
            requests.inc()
            responses.inc()
            seconds.observe(time.perf_counter() - began)

    def _series(self, route: str, method: str, status: int) -> tuple[Counter, Counter, Histogram]:
        # Looking one up by its labels takes longer than adding to it. There are as many as there are series.
        found = self._known.get((route, method, status))
        if found is None:
            metrics = self._metrics
            found = (
                metrics.requests.labels(route, method, status),
                metrics.responses.labels(f"{status // 100}xx"),
                metrics.seconds.labels(route, method),
            )
            self._known[route, method, status] = found
        return found
