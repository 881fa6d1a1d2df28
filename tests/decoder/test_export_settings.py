"""What EXPORT may be, and what a decoder says that cannot do it."""

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.errors import BadSettingsError
from decoder.__main__ import serve
from decoder.export_settings import ExportSettings, Target
from decoder.metrics import DecoderMetrics
from decoder.series import questions_to_stores, stages_that_wait
from decoder.settings import DecoderSettings
from disclosure.policy import Privacy
from runtime.service import Stop


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("off", []),
        ("kafka", [Target.KAFKA]),
        ("kafka, parquet", [Target.PARQUET, Target.KAFKA]),
        ("parquet,,", [Target.PARQUET]),
    ],
)
def test_targets_are_joined_by_commas(text: str, targets: list[Target]) -> None:
    assert ExportSettings(export=text).targets == targets


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("export", "parquet,off", "off: choose off, or from parquet, kafka"),
        ("export", "spark", "spark: choose off, or from parquet, kafka"),
        ("export", ",", "nothing: choose off"),
        ("export_patience", "59m", "from 1h to 30d"),
        ("export_patience", "31d", "from 1h to 30d"),
        ("export_patience", "a day", "is no duration"),
        ("kafka_retention", "366d", "from 1h to 365d"),
        ("kafka_topic_prefix", "Campus", "should match pattern"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(name: str, text: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ExportSettings.model_validate({name: text})


def test_nothing_is_gathered_for_so_long_that_it_is_passed_over() -> None:
    assert ExportSettings(lake_every=1800, export_patience="1h").lake_every == 1800
    with pytest.raises(ValidationError, match="LAKE_EVERY: at most half of EXPORT_PATIENCE"):
        ExportSettings(lake_every=1801, export_patience="1h")


@pytest.mark.parametrize(
    ("stages", "export"), [("observe,archive,rollup", "parquet"), ("observe,export", "kafka"), ("observe", "off")]
)
def test_a_decoder_that_does_not_open_the_lake_needs_no_key_of_its_bucket(stages: str, export: str) -> None:
    settings = DecoderSettings(lake_url="s3://bucket/lake", stages=stages, export=export)
    assert settings.lake_url == "s3://bucket/lake"


def test_a_decoder_that_opens_the_lake_needs_the_key_of_its_bucket() -> None:
    with pytest.raises(ValidationError, match="LAKE_URL: s3:// also needs S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY"):
        DecoderSettings(lake_url="s3://bucket/lake", stages="export", export="parquet")


@pytest.mark.parametrize(
    ("export", "module", "extra"), [("parquet", "export_parquet", "lake"), ("kafka", "export_kafka", "kafka")]
)
async def test_where_a_library_is_missing_the_extra_is_named(
    redis_server: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch, export: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, f"decoder.{module}", None)
    settings = DecoderSettings(data_dir=data_dir, redis_url=redis_server, stages="export", export=export)
    with pytest.raises(BadSettingsError, match=f"EXPORT: {export} needs the extra `{extra}`"):
        await serve(settings, Stop())


async def test_who_exports_alone_needs_no_redis_of_keys_although_what_waits_is_sealed(
    redis_server: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "decoder.export_kafka", None)
    settings = DecoderSettings(
        data_dir=data_dir,
        redis_url=redis_server,
        stages="export",
        export="kafka",
        privacy=Privacy.PROTECTED,
        raw_encryption=True,
    )
    with pytest.raises(BadSettingsError, match="EXPORT: kafka needs the extra"):
        await serve(settings, Stop())


def test_each_series_of_an_export_is_there_from_the_start(data_dir: Path) -> None:
    settings = DecoderSettings(data_dir=data_dir, stages="export", export="parquet,kafka")
    registry = DecoderMetrics(
        stages=stages_that_wait(settings), stores=questions_to_stores(settings), targets=settings.targets
    ).registry
    for target in ("parquet", "kafka"):
        assert registry.get_sample_value("decoder_export_skipped_entries_total", {"target": target}) == 0
        for topic in ("positions", "occupancy"):
            labels = {"target": target, "topic": topic}
            assert registry.get_sample_value("decoder_exported_records_total", labels) == 0
        for stage, partition in ((f"export-{target}", "0"), (f"export-{target}-windows", "")):
            assert registry.get_sample_value("decoder_waiting", {"stage": stage, "partition": partition}) == 0
            assert registry.get_sample_value("decoder_claimed_entries_total", {"stage": stage}) == 0
        store = {"store": target, "operation": "put"}
        assert registry.get_sample_value("decoder_store_failures_total", store) == 0
