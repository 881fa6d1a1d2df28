"""What the API measures."""

import time
from http import HTTPMethod

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = frozenset(HTTPMethod)
UNMATCHED = "unmatched"
"""The route of a request that no route was found for: a path of the client's own must not become a label."""


class ApiMetrics:
    """The metrics of one API process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # Requests by the template of their route (/v1/zones/{zone}), method, and status of the answer. HEAD is GET.
        self.requests = Counter(
            "api_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        # From the first byte of a request that was read to the last one of its answer that was handed to the server.
        self.seconds = Histogram(
            "api_request_seconds",
            "Seconds until the answer was complete.",
            ["route", "method"],
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
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


class Measured:
    """Counts and times every request of an application."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

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
            requests, seconds = self._series(route, method, status)
            requests.inc()
            seconds.observe(time.perf_counter() - began)

    def _series(self, route: str, method: str, status: int) -> tuple[Counter, Histogram]:
        # Looking one up by its labels takes longer than adding to it. There are as many as there are series.
        found = self._known.get((route, method, status))
        if found is None:
            found = (self._metrics.requests.labels(route, method, status), self._metrics.seconds.labels(route, method))
            self._known[route, method, status] = found
        return found
