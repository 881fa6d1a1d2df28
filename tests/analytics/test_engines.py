"""One text of SQL, two engines: each job gives the same rows on DuckDB and on Spark."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from analytics.engines import Engine
from analytics.engines.duck import DuckEngine
from analytics.jobs import JOBS, Job
from analytics.running import Sources, check, run_job
from lake.layout import POSITIONS
from lake.reading import read_table
from tests.analytics.crowd import CROWD_DAYS, DAY, HOUR, MONDAY, comparable

pytestmark = [
    pytest.mark.spark,
    # Under load, a JVM takes half a minute to start, and some seconds for each query.
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def spark() -> Iterator[Engine]:
    pytest.importorskip("pyspark", reason="Spark is not installed here: make spark")
    from analytics.engines.spark import SparkEngine  # noqa: PLC0415 - only where it is installed

    engine = SparkEngine(memory="1g", threads=2)
    try:
        yield engine
    finally:
        engine.close()


@pytest.mark.parametrize("job", JOBS)
def test_a_job_gives_the_same_rows_on_duckdb_and_on_spark(
    job: Job, crowd: Sources, duck: DuckEngine, spark: Engine
) -> None:
    start, end = MONDAY + 12 * HOUR, MONDAY + CROWD_DAYS * DAY

    found = comparable(run_job(duck, job, start, end, crowd))

    assert len(found) > 20
    assert comparable(run_job(spark, job, start, end, crowd)) == found


def test_both_engines_find_the_same_row_that_does_not_add_up(crowd: Sources, duck: DuckEngine, spark: Engine) -> None:
    start, end = MONDAY + DAY, MONDAY + 2 * DAY
    visits = run_job(duck, "visits", start, end, crowd)
    assert check(duck, visits, start, end, crowd).num_rows == 0
    broken = visits.slice(1)

    found = check(duck, broken, start, end, crowd).to_pylist()

    assert len(found) <= 1
    assert check(spark, broken, start, end, crowd).to_pylist() == found


def test_both_engines_give_no_rows_of_a_lake_that_is_empty(sources: Sources, duck: DuckEngine, spark: Engine) -> None:
    for engine in (duck, spark):
        for job in JOBS:
            assert run_job(engine, job, MONDAY, MONDAY + DAY, sources).num_rows == 0


def test_a_file_that_is_gone_when_spark_opens_it_is_not_found(crowd: Sources, spark: Engine) -> None:
    (first, *_) = crowd.lake.list(POSITIONS)
    spark.files("positions", [crowd.lake.address(first.path)])
    crowd.lake.delete([first.path])

    with pytest.raises(FileNotFoundError):
        spark.rows("select count(*) as positions from raw_positions")
    with pytest.raises(FileNotFoundError):
        spark.files("positions", [crowd.lake.address(first.path)])


def test_spark_submit_runs_a_job_as_the_operator_does(crowd: Sources, tmp_path: Path) -> None:
    pytest.importorskip("pyspark", reason="Spark is not installed here: make spark")
    job = yaml.safe_load((ROOT / "analytics" / "spark" / "job.yaml").read_text(encoding="utf-8"))
    main = job["spec"]["mainApplicationFile"].replace("local:///app", str(ROOT))
    arguments = ["run", "visits", "--engine", "spark", "--lake-only", "--start", "2026-11-24", "--end", "2026-11-25"]
    assert job["spec"]["arguments"][:5] == arguments[:5]
    submit = Path(sys.executable).with_name("spark-submit")

    done = subprocess.run(
        [submit, "--master", "local[1]", "--conf", "spark.sql.shuffle.partitions=3", main, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-4000:]
    assert "done until 2026-11-25T00:00:00Z" in done.stdout + done.stderr
    rows = read_table(crowd.lake, "results/visits/date=2026-11-24/part-0.parquet")
    assert rows.num_rows > 20
