"""docs/benchmarks.md is what `python -m bench.pages` makes of bench/results."""

from pathlib import Path

from bench.bars import bars
from bench.pages import PAGE, kept, page, plot
from bench.quick import RESULTS


def test_the_page_is_made_of_the_kept_results() -> None:
    found = kept(RESULTS)
    plots = {name: f"../bench/results/{name}.svg" for name, results in found.items() if plot(results)}
    assert PAGE.read_text(encoding="utf-8") == page(found, plots), "run python -m bench.pages"


def test_the_plots_are_made_of_the_kept_results() -> None:
    for name, results in kept(RESULTS).items():
        if picture := plot(results):
            assert (RESULTS / f"{name}.svg").read_text(encoding="utf-8") == picture, "run python -m bench.pages"


def test_results_of_other_forms_are_not_on_the_page() -> None:
    assert {"state", "fast_motion"} & kept(RESULTS).keys() == set()
    assert {"state.json", "fast_motion.json"} <= {file.name for file in Path(RESULTS).iterdir()}


def test_a_bar_ends_at_the_median_and_its_line_goes_from_the_least_to_the_most() -> None:
    picture = bars("Rates", {"ours": [50, 100, 80], "theirs & others": [20]}, "ours")
    # 460 units are the most of all, from 190 on.
    assert 'width="368.0"' in picture
    assert 'd="M420.0 45.5H650.0"' in picture
    assert "theirs &amp; others" in picture
