"""Spans that follow from the name of an entry, and what becomes of them where nobody takes them."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from runtime import tracing
from runtime.tracing import TracingSettings, open_tracing, trace_id
from tests.conftest import NOON, eventually, holds
from tests.tracing import Kept, context_of, trace_of, tracing_to

ROOT = Path(__file__).parents[2]
ENTRY = "raw:{0}/1772366400000-0"
OTHERS = [f"raw:{{0}}/1772366400000-{number}" for number in range(10_000)]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "GATHER_SECONDS", 0.0)


def outcomes(registry: CollectorRegistry) -> dict[str, float]:
    found = {
        each: registry.get_sample_value("traces_spans_total", {"outcome": each}) for each in ("sent", "full", "failed")
    }
    return {name: value for name, value in found.items() if value is not None}


def test_a_service_that_traces_nothing_imports_nothing_that_makes_or_sends_spans() -> None:
    # FastAPI and redis-py import other parts of OpenTelemetry by themselves.
    named = "{'opentelemetry.sdk.trace', 'opentelemetry.exporter'}"
    code = f"import sys, decoder.__main__, api.__main__; print({named} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


async def test_nothing_is_traced_unless_traces_url_is_set() -> None:
    registry = CollectorRegistry()
    async with open_tracing(TracingSettings(), service="api", node="one", registry=registry) as made:
        assert made is None
    assert outcomes(registry) == {}


def test_where_spans_go_is_an_address() -> None:
    with pytest.raises(ValidationError, match="begins with http"):
        TracingSettings(traces_url="jaeger:4318")
    assert TracingSettings(traces_url="http://jaeger:4318/").traces_url == "http://jaeger:4318"


async def test_what_is_sampled_follows_from_its_name_alone() -> None:
    async with tracing_to(Kept(), share=0.01) as one, tracing_to(Kept(), share=0.01) as other:
        sampled = [name for name in OTHERS if one.sampled(name.encode())]
        assert sampled == [name for name in OTHERS if other.sampled(name.encode())]
        assert 70 <= len(sampled) <= 130
    async with tracing_to(Kept(), share=0.02) as more:
        assert set(sampled) < {name for name in OTHERS if more.sampled(name.encode())}
    async with tracing_to(Kept(), share=0) as none, tracing_to(Kept(), share=1) as every:
        assert not any(none.sampled(name.encode()) for name in OTHERS)
        assert all(every.sampled(name.encode()) for name in OTHERS)


async def test_who_knows_the_name_of_an_entry_knows_its_trace() -> None:
    kept = Kept()
    async with tracing_to(kept) as made:
        made.span("publish", [ENTRY], began=NOON, ended=NOON + 3, root=True, messages=2)
    async with tracing_to(kept) as elsewhere:
        elsewhere.span("archive", [ENTRY], began=NOON + 5, ended=NOON + 9)
    first, second = kept.spans
    assert trace_of(first) == trace_of(second) == trace_id(ENTRY) == "6fee2ade9b52ea4751890f5c46a2a7af"
    assert first.parent is None
    assert second.parent is not None
    assert second.parent.span_id == context_of(first).span_id
    assert (first.start_time, first.end_time) == (NOON * 1_000_000, (NOON + 3) * 1_000_000)
    assert dict(first.attributes or {}) == {"messages": 2}
    assert first.resource.attributes["service.name"] == "decoder"


async def test_what_was_done_for_several_is_a_span_of_each_and_they_are_linked() -> None:
    kept = Kept()
    async with tracing_to(kept) as made:
        made.span("archive", OTHERS[:3], began=NOON, ended=NOON)
    assert [trace_of(span) for span in kept.spans] == [trace_id(name) for name in OTHERS[:3]]
    linked = [[f"{link.context.trace_id:032x}" for link in span.links] for span in kept.spans]
    assert linked == [[trace_id(OTHERS[1]), trace_id(OTHERS[2])], [trace_id(OTHERS[0])], [trace_id(OTHERS[0])]]


async def test_nothing_ends_before_it_began_where_clocks_differ() -> None:
    kept = Kept()
    async with tracing_to(kept) as made:
        made.span("publish", [ENTRY], began=NOON, ended=NOON - 500, root=True)
    assert (kept.spans[0].start_time, kept.spans[0].end_time) == (NOON * 1_000_000, NOON * 1_000_000)


async def test_who_makes_spans_does_not_wait_for_who_takes_them_and_what_is_too_much_is_counted() -> None:
    kept, registry = Kept(), CollectorRegistry()
    kept.held.clear()
    async with tracing_to(kept, registry=registry) as made:
        for number in range(5000):
            made.span("observe", [ENTRY], began=NOON + number, ended=NOON + number)
        full = outcomes(registry)["full"]
        # 2,048 wait, and 512 at the most are being sent.
        assert 2440 <= full <= 2952
        kept.held.set()
        await eventually(holds(lambda: len(kept.spans) == 5000 - full))
    assert outcomes(registry) == {"sent": 5000 - full, "full": full, "failed": 0}


async def test_spans_that_are_not_taken_are_counted_and_those_after_them_go_on() -> None:
    kept, registry = Kept(), CollectorRegistry()
    kept.fails = True
    async with tracing_to(kept, registry=registry) as made:
        made.span("observe", [ENTRY], began=NOON, ended=NOON)
        await eventually(holds(lambda: outcomes(registry)["failed"] == 1))
        kept.fails = False
        made.span("observe", [ENTRY], began=NOON, ended=NOON)
    assert outcomes(registry) == {"sent": 1, "full": 0, "failed": 1}


async def test_a_process_ends_although_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "END_SECONDS", 0.01)
    kept = Kept()
    kept.held.clear()
    async with tracing_to(kept) as made:
        made.span("observe", [ENTRY], began=NOON, ended=NOON)
    assert kept.ended
    assert kept.spans == []
    kept.held.set()


async def test_whoever_takes_spans_may_be_away() -> None:
    registry = CollectorRegistry()
    settings = TracingSettings(traces_url="http://127.0.0.1:9", traces_share=1)
    async with open_tracing(settings, service="api", node="one", registry=registry) as made:
        assert made is not None
        made.span("observe", [ENTRY], began=NOON, ended=NOON)
    await eventually(holds(lambda: outcomes(registry)["failed"] == 1))
