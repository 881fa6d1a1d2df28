"""Spans of some of what comes in, sent by OTLP. Off unless TRACES_URL is set: only then is OpenTelemetry imported.

What is traced has an *origin*, the name of the entry that it came in by. Whether it is sampled, and which trace is its
own, follow from that name alone: so every process that knows the name says the same, and nothing is handed on with it.
All spans are made afterwards, from times that are known. One that cannot be sent is dropped and counted: nobody waits
for whoever takes them, and nothing grows.
"""

import asyncio
import hashlib
import logging
import queue
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry, Counter
from pydantic import Field, field_validator

from runtime.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import SpanContext

MOST_WAITING = 2048
"""Spans that may wait to be sent: some 2 MB."""
AT_ONCE = 512
TOGETHER = 100
"""Of so many that were done together each has a span; of more, the first."""
GATHER_SECONDS = 1.0
SEND_SECONDS = 5.0
"""How long whoever takes spans may take to answer, with what is tried again meanwhile."""
END_SECONDS = 1.0
"""What is left at the end may take so long, and is dropped then."""
_NS = 1_000_000

_log = structlog.stdlib.get_logger("tracing")


class TracingSettings(Settings):
    """Whether, where and how much is traced."""

    traces_url: str = Field(
        default="",
        description="Whoever takes spans by OTLP over HTTP, such as http://jaeger:4318; unset: nothing is traced.",
    )
    traces_share: float = Field(
        default=0.001,
        ge=0,
        le=1,
        description="Part of the entries that are traced, where TRACES_URL is set; the same for all decoders.",
    )

    @field_validator("traces_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("begins with http:// or https://")
        return url.rstrip("/")


class Tracing:
    """Makes spans, and hands them to a thread that sends them."""

    def __init__(
        self, exporter: "SpanExporter", *, share: float, service: str, node: str, registry: CollectorRegistry
    ) -> None:
        """`exporter` is OpenTelemetry's: it is asked by the thread alone. `share` is TRACES_SHARE."""
        # Here: who traces nothing need not have it.
        from opentelemetry import trace  # noqa: PLC0415
        from opentelemetry.context import Context  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415

        sender = _Sender(exporter, registry)

        class Ids(RandomIdGenerator):
            """Of a first span the ids that follow from its origin; of others none that anybody must know."""

            first: tuple[int, int] | None = None

            def generate_trace_id(self) -> int:
                return self.first[0] if self.first else super().generate_trace_id()

            def generate_span_id(self) -> int:
                return self.first[1] if self.first else super().generate_span_id()

        class Sent(SpanProcessor):
            def on_end(self, span: "ReadableSpan") -> None:
                sender.take(span)

        self._trace, self._context, self._ids, self._sender = trace, Context, Ids(), sender
        resource = Resource.create(
            {"service.name": service, "service.namespace": "campus-occupancy", "service.instance.id": node}
        )
        provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=self._ids)
        provider.add_span_processor(Sent())
        self._tracer = provider.get_tracer("campus-occupancy")
        # What is longer than a digest, and as its greatest, is above all of them.
        self._below = int(share * 2**32).to_bytes(4, "big") if share < 1 else b"\xff" * 21

    def sampled(self, origin: bytes) -> bool:
        """Whether spans are made of what came in by that: TRACES_SHARE of all, the same in each process."""
        # Asked of each entry: its first 32 bits are compared without making a number of them.
        return hashlib.sha1(origin, usedforsecurity=False).digest() < self._below

    def span(
        self, name: str, origins: Sequence[str], *, began: int, ended: int, root: bool = False, **attributes: str | int
    ) -> None:
        """A span in the trace of each origin, whether sampled or not; times are in ms since the epoch.

        What was done for several at once is a span of each: that of the first links to all others, and theirs to it.
        `root` is for the first span of a trace, which the others are below. Clocks of two machines may differ: nothing
        ends before it began.
        """
        contexts = [self._first(origin) for origin in origins[:TOGETHER]]
        for index, (trace_id, span_id) in enumerate(contexts):
            linked = contexts[1:] if index == 0 else contexts[:1]
            links = [self._trace.Link(self._span_context(*other)) for other in linked]
            if root:
                self._ids.first, parent = (trace_id, span_id), self._context()
            else:
                above = self._trace.NonRecordingSpan(self._span_context(trace_id, span_id))
                parent = self._trace.set_span_in_context(above, self._context())
            made = self._tracer.start_span(
                name, parent, links=links, attributes=attributes, start_time=began * _NS, record_exception=False
            )
            self._ids.first = None
            made.end(max(began, ended) * _NS)

    @staticmethod
    def _first(origin: str) -> tuple[int, int]:
        """The ids of an origin's trace, and of the first span in it."""
        digest = hashlib.sha256(origin.encode()).digest()
        return int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:24], "big")

    def _span_context(self, trace_id: int, span_id: int) -> "SpanContext":
        return self._trace.SpanContext(
            trace_id, span_id, is_remote=True, trace_flags=self._trace.TraceFlags(self._trace.TraceFlags.SAMPLED)
        )

    async def close(self) -> None:
        """Send what waits, for a second at the most."""
        await asyncio.to_thread(self._sender.end)


def trace_id(origin: str) -> str:
    """The id of an origin's trace, 32 hexadecimal digits: whoever knows the name of an entry finds its trace."""
    return hashlib.sha256(origin.encode()).hexdigest()[:32]


@asynccontextmanager
async def open_tracing(
    settings: TracingSettings, *, service: str, node: str, registry: CollectorRegistry
) -> AsyncIterator[Tracing | None]:
    """What makes the spans of a process, while the context lasts; None where nothing is traced."""
    if not settings.traces_url:
        yield None
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    # It says of each attempt that it failed, and we say once that they do.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exporter = OTLPSpanExporter(f"{settings.traces_url}/v1/traces", timeout=SEND_SECONDS)
    tracing = Tracing(exporter, share=settings.traces_share, service=service, node=node, registry=registry)
    try:
        yield tracing
    finally:
        await tracing.close()


class _Sender:
    """A thread that sends spans, some hundred at a time."""

    def __init__(self, exporter: "SpanExporter", registry: CollectorRegistry) -> None:
        self._exporter = exporter
        self._waiting: queue.Queue[ReadableSpan | None] = queue.Queue(MOST_WAITING)
        self._ending = threading.Event()
        self._fails = False
        # sent; full: too many waited; failed: whoever takes them did not, in time.
        self._spans = Counter("traces_spans", "Spans made, by what became of them.", ["outcome"], registry=registry)
        for outcome in ("sent", "full", "failed"):
            self._spans.labels(outcome)
        # A daemon: a process ends although somebody does not answer.
        self._thread = threading.Thread(target=self._run, name="tracing", daemon=True)
        self._thread.start()

    def take(self, span: "ReadableSpan | None") -> None:
        """Have it sent, or drop it: never waits. None wakes the thread."""
        try:
            self._waiting.put_nowait(span)
        except queue.Full:
            self._spans.labels("full").inc()

    def end(self) -> None:
        """Send what waits, and drop what is left after END_SECONDS."""
        self._ending.set()
        self.take(None)
        self._thread.join(END_SECONDS)
        self._exporter.shutdown()

    def _run(self) -> None:
        while True:
            batch = [self._waiting.get()]
            self._ending.wait(GATHER_SECONDS)
            while len(batch) < AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            if spans := [span for span in batch if span is not None]:
                self._send(spans)
            if self._ending.is_set() and self._waiting.empty():
                return

    def _send(self, spans: "list[ReadableSpan]") -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415

        fails = self._exporter.export(spans) is not SpanExportResult.SUCCESS
        self._spans.labels("failed" if fails else "sent").inc(len(spans))
        if fails is not self._fails:
            self._fails = fails
            if fails:
                _log.warning("spans are dropped: TRACES_URL does not take them", spans=len(spans))
            else:
                _log.info("spans are taken again")
