import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from redis.asyncio import Redis

from core.errors import Reason, UnavailableError
from core.kinds import DEFAULT_KINDS
from core.messages import Position, encode_positions
from decoder.archive import Archiver
from decoder.batch import Batch
from decoder.metrics import DecoderMetrics
from decoder.series import questions_to_stores, stages_that_wait
from decoder.settings import DecoderSettings
from decoder.stages import Assembly
from documents import DocumentStore, RejectedDocumentError
from runtime.failures import Failures
from runtime.service import Stop
from state.dead_letters import DeadLetters
from state.group import Group
from tests.conftest import NOON, POSITIONS
from tests.decoder.conftest import HandClock, position
from timeseries import OccupancyStore

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
PUT = {"store": "documents", "operation": "put"}


def names(registry: CollectorRegistry) -> dict[str, str]:
    """The type of each metric, by the name that it is scraped by."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family.type
        for family in registry.collect()
    }


def value(metrics: DecoderMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_the_operators_page_lists_each_metric_and_no_other(metrics: DecoderMetrics) -> None:
    # As the process does.
    Failures("decoder", metrics.registry)
    listed = set(re.findall(r"`(decoder_\w+)(?:\{[a-z, ]+\})?`", PAGE.read_text(encoding="utf-8")))
    assert listed == set(names(metrics.registry))


def test_the_operators_page_names_the_labels_that_there_are(metrics: DecoderMetrics) -> None:
    page = PAGE.read_text(encoding="utf-8")
    for family in (each for each in vars(metrics).values() if getattr(each, "_labelnames", ())):
        (name,) = [name for name in names(family) if name.startswith("decoder_")]
        assert f"`{name}{{{', '.join(family._labelnames)}}}`" in page


def test_names_follow_the_conventions_of_prometheus(metrics: DecoderMetrics) -> None:
    """https://prometheus.io/docs/practices/naming/: a prefix, base units, _total for counters alone."""
    for name, kind in names(metrics.registry).items():
        assert re.fullmatch(r"decoder_[a-z]+(_[a-z]+)*", name)
        assert name.endswith("_total") == (kind == "counter")
        assert not re.search(r"milli|_ms|minutes|hours|_count$|_sum$|_bucket$", name)
        if "seconds" in name:
            assert name.endswith("_seconds")


def test_a_reason_is_there_before_its_first_dead_letter_so_that_the_first_one_shows(metrics: DecoderMetrics) -> None:
    for reason in Reason:
        assert value(metrics, "decoder_dead_letters_total", reason=reason.value) == 0
    assert b"decoder_dead_letters_total{reason=" in generate_latest(metrics.registry)


def test_of_the_chosen_stages_every_series_is_there_from_the_start() -> None:
    settings = DecoderSettings(stages="observe,rollup", partitions=2)
    metrics = DecoderMetrics(
        stages=stages_that_wait(settings), partitions=settings.partitions, stores=questions_to_stores(settings)
    )
    for stage, partition in (("observe", "0"), ("observe", "1"), ("rollup", ""), ("campus", ""), ("coverage", "")):
        assert value(metrics, "decoder_waiting", stage=stage, partition=partition) == 0
        assert value(metrics, "decoder_unavailable_total", stage=stage) == 0
    for operation in ("setup", "write", "read"):
        assert value(metrics, "decoder_store_failures_total", store="timeseries", operation=operation) == 0
    assert value(metrics, "decoder_claimed_entries_total", stage="observe") == 0
    # And of no other.
    assert value(metrics, "decoder_unavailable_total", stage="archive") is None
    assert value(metrics, "decoder_store_failures_total", **PUT) is None


@pytest.mark.parametrize(
    ("stages", "archive", "stores"),
    [
        ("archive", "every", {"documents"}),
        ("archive", "off", set()),
        ("judge", "every", {"documents"}),
        ("observe", "every", set()),
        ("archive,rollup", "sampled", {"documents", "timeseries"}),
    ],
)
def test_stores_are_those_that_the_stages_use(stages: str, archive: str, stores: set[str]) -> None:
    settings = DecoderSettings.model_validate({"stages": stages, "archive": archive})
    assert {store for store, _ in questions_to_stores(settings)} == stores


def test_freshness_is_from_the_newest_receipt_to_the_end(metrics: DecoderMetrics) -> None:
    metrics.counted(NOON - 2500, NOON)
    metrics.finished("archive", NOON - 1500, NOON)
    metrics.finished("archive", None, NOON)
    # The broker's clock is ahead.
    metrics.finished("rollup", NOON + 500, NOON)
    sums = {stage: value(metrics, "decoder_freshness_seconds_sum", stage=stage) for stage in ("observe", "archive")}
    assert sums == {"observe": 2.5, "archive": 1.5}
    assert value(metrics, "decoder_freshness_seconds_sum", stage="rollup") == 0
    assert metrics.newest_counted == NOON - 2500
    # Another partition was behind: what was counted before stays the newest.
    metrics.counted(NOON - 9000, NOON)
    assert metrics.newest_counted == NOON - 2500


class Documents:
    """Is away once, then takes all but one document."""

    def __init__(self) -> None:
        self.answers: list[Exception] = [
            UnavailableError("a pause", retry_after=0.0),
            RejectedDocumentError({"abc-1": "it is too odd"}),
        ]

    async def setup(self) -> None: ...

    async def put(self, positions: Sequence[Position], **_: Any) -> int:
        if self.answers:
            raise self.answers.pop(0)
        return len(positions)


async def test_what_a_document_store_did_not_serve_and_what_it_refused_is_counted_apart(
    redis_client: Redis, metrics: DecoderMetrics
) -> None:
    stream = POSITIONS
    group = Group(client=redis_client, stream=stream, group="archive", consumer="a", claim_after_ms=0)
    await group.create()
    archiver = Archiver(
        dead_letters=DeadLetters(redis_client, partitions=1),
        group=group,
        store=cast("DocumentStore", Documents()),
        clock=HandClock(),
        metrics=metrics,
        dead_letters_max=10,
        partition=0,
    )
    for device in ("a", "b"):
        await redis_client.xadd(stream, {"d": encode_positions([position(device, NOON), position(device, NOON + 1)])})
        await archiver(await group.read(10))
    assert value(metrics, "decoder_archived_positions_total") == 3
    assert value(metrics, "decoder_dead_letters_total", reason="rejected_document") == 1
    assert value(metrics, "decoder_store_seconds_count", **PUT) == 3
    assert value(metrics, "decoder_store_failures_total", **PUT) == 1
    assert value(metrics, "decoder_unavailable_total", stage="archive") == 1
    assert value(metrics, "decoder_waiting", stage="archive", partition="0") == 0


class Occupancy:
    """Is away for the first two attempts to set it up; then the test has seen enough."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._attempts = 0

    async def setup(self) -> None:
        self._attempts += 1
        if self._attempts <= 2:
            raise UnavailableError("starting", retry_after=0.0)
        self._stop.set()


@pytest.mark.usefixtures("impatient")
async def test_setting_a_store_up_is_measured_as_well(
    redis_client: Redis, metrics: DecoderMetrics, tmp_path: Path
) -> None:
    stop = Stop()
    assembly = Assembly(
        kinds=DEFAULT_KINDS,
        settings=DecoderSettings(data_dir=tmp_path),
        client=redis_client,
        clock=HandClock(),
        metrics=metrics,
    )
    await assembly.rollup(cast("OccupancyStore", Occupancy(stop)))["rollup"](stop)
    setup = {"store": "timeseries", "operation": "setup"}
    assert value(metrics, "decoder_store_seconds_count", **setup) == 3
    assert value(metrics, "decoder_store_failures_total", **setup) == 2


def test_messages_and_positions_and_drops_are_counted_by_what_became_of_them(metrics: DecoderMetrics) -> None:
    batch = Batch()
    batch.totals.update({"messages": 5, "positions": 3, "outside": 2})
    batch.ignored.update({"lwt": 2, "empty": 1})
    metrics.count(batch)
    assert value(metrics, "decoder_ignored_total", what="lwt") == 2
    assert value(metrics, "decoder_ignored_total", what="empty") == 1
    assert value(metrics, "decoder_ignored_total", what="waypoint") == 0
    assert value(metrics, "decoder_messages_total") == 5
    assert value(metrics, "decoder_positions_total") == 3
    assert value(metrics, "decoder_outside_positions_total") == 2
