from pathlib import Path

from analytics.engines.duck import DuckEngine


def test_what_a_killed_process_has_spilled_is_removed_and_that_of_one_that_lives_is_not(tmp_path: Path) -> None:
    left = tmp_path / "duckdb-left"
    left.mkdir()
    (left / "lock").touch()
    (left / "spilled").write_text("a device", encoding="utf-8")
    first = DuckEngine(memory="256MB", threads=1, spill=tmp_path)
    assert not left.exists()

    second = DuckEngine(memory="256MB", threads=1, spill=tmp_path)

    assert len(list(tmp_path.iterdir())) == 2
    for engine in (first, second, second):
        engine.close()
    assert list(tmp_path.iterdir()) == []
