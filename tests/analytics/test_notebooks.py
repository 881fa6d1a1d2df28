"""The notebooks run from top to bottom, and keep no outputs: those would be data of somebody."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from analytics.opening import write_dimensions
from analytics.running import Sources
from analytics.settings import AnalyticsSettings
from tests.analytics.crowd import DAY, MONDAY

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PYTEST = ("-p", "no:cacheprovider", "-o", "filterwarnings=default", "-o", "timeout=600")
ALL = sorted(NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("notebook", ALL, ids=lambda notebook: notebook.stem)
def test_a_notebook_keeps_no_outputs(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]

    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.spark
@pytest.mark.timeout(600)
def test_the_notebooks_run_from_top_to_bottom_on_a_lake(crowd: Sources, tmp_path: Path) -> None:
    pytest.importorskip("nbmake", reason="what notebooks need is not installed here: make spark")
    write_dimensions(AnalyticsSettings(data_dir=tmp_path), crowd, MONDAY, MONDAY + DAY)
    told = {"DATA_DIR": str(tmp_path), "LAKE": str(tmp_path / "lake"), "DAY": "2026-11-24", "DAYS": "2"}

    done = subprocess.run(
        # What warnings a kernel has is not ours.
        [sys.executable, "-m", "pytest", "-q", "--nbmake", "--nbmake-timeout=300", *map(str, ALL), *PYTEST],
        cwd=NOTEBOOKS.parent,
        env={**os.environ, **told, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:]
    assert "3 passed" in done.stdout
