"""Spans as a test sees them: kept in memory, or held back."""

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry

from runtime.tracing import Tracing


class Kept(SpanExporter):
    """Keeps spans; while `fails` it takes none, and while `held` is cleared it does not answer."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.fails = False
        self.held = threading.Event()
        self.held.set()
        self.ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.held.wait()
        if self.fails:
            return SpanExportResult.FAILURE
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.ended = True

    @property
    def told(self) -> list[tuple[str, str]]:
        """Trace and name of each, in the order in which they were made."""
        return [(trace_of(span), span.name) for span in self.spans]


def context_of(span: ReadableSpan) -> Any:  # noqa: ANN401 - None of a span that was never begun
    return span.get_span_context()


def trace_of(span: ReadableSpan) -> str:
    return f"{context_of(span).trace_id:032x}"


@asynccontextmanager
async def tracing_to(
    kept: Kept, *, share: float = 1, registry: CollectorRegistry | None = None
) -> AsyncIterator[Tracing]:
    """What makes spans; they are all with `kept` once the context has ended."""
    tracing = Tracing(kept, share=share, service="decoder", node="one", registry=registry or CollectorRegistry())
    try:
        yield tracing
    finally:
        await tracing.close()
