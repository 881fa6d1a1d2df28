"""Rounds are shuffled, ratios are of one round, and what is kept can be read again."""

import json
from pathlib import Path

import pytest

from bench.results_file import ALL_CPU, Aim, Compared, Results, read, results_of, write
from bench.rounds import Entry, Figures, Round, compare
from bench.section import section, verdict


def turns(seed: int, rounds: int = 6) -> list[str]:
    taken: list[str] = []

    def run(name: str) -> Figures:
        taken.append(name)
        return Figures(values={})

    entries = [Entry(name=name, run=lambda name=name: run(name)) for name in "abc"]  # type: ignore[misc]
    compare(entries, rounds=rounds, seed=seed)
    return taken


def test_each_entry_takes_one_turn_a_round_in_an_order_of_its_own() -> None:
    order = turns(1)
    by_round = [order[first : first + 3] for first in range(0, 18, 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in by_round)
    assert len({tuple(one) for one in by_round}) > 2
    assert turns(1) == order
    assert turns(2) != order


def test_an_entry_that_fails_or_is_missing_has_the_reason_and_the_others_go_on() -> None:
    def fails() -> Figures:
        raise ConnectionError("closed the connection")

    found = compare(
        [
            Entry(name="ours", run=lambda: Figures(values={"rate": 5.0})),
            Entry(name="theirs", run=fails),
            Entry(name="another", why_not="not installed"),
        ],
        rounds=2,
        seed=1,
    )

    assert found.series("ours", "rate") == [5, 5]
    assert found.reasons == {"theirs": "closed the connection", "another": "not installed"}


def results(ours: list[float], theirs: list[float], aims: list[Aim] | None = None) -> Results:
    rates = {"ours": ours, "theirs": theirs}

    def figures(name: str) -> Figures:
        return Figures(values={"rate": rates[name].pop(0)}, cpu={"node": 2.0, "Redis": 1.0} if name == "ours" else {})

    entries = [
        Entry(name="ours", run=lambda: figures("ours"), version="1.2", configuration="As shipped."),
        Entry(name="theirs", run=lambda: figures("theirs")),
    ]
    return results_of(
        compare(entries, rounds=len(ours), seed=1),
        entries,
        name="things",
        title="Things",
        repeat="python -m bench.things",
        compared=[Compared("rate")],
        seed=1,
        aims=aims or [],
    )


def test_a_ratio_is_taken_within_a_round_and_an_aim_holds_its_median() -> None:
    aim = Aim(text="three times", figure="rate", over="theirs", least=3)
    found = results([30, 40, 90], [10, 20, 30], [aim])

    assert found.ratios("rate", "theirs") == [3, 2, 3]
    assert found.reached(aim) == 3
    assert "three times: **reached**, 3" in section(found)


def test_a_round_that_one_of_two_has_not_gives_no_ratio() -> None:
    found = results([30, 40, 90], [10, 20, 30])
    found.rounds = [one for one in found.rounds if (one.entry, one.number) != ("theirs", 2)]

    assert found.ratios("rate", "theirs") == [3, 3]


@pytest.mark.parametrize(
    ("ratios", "text"),
    [
        ([2.0, 3.0, 2.5], "2.50 (2 to 3)"),
        ([0.5, 0.25], "0.375 (0.250 to 0.500)"),
        ([0.9, 1.2], "no difference: the spread is larger (0.900 to 1.20)"),
        ([], ""),
    ],
)
def test_ratios_on_both_sides_of_one_are_no_difference(ratios: list[float], text: str) -> None:
    assert verdict(ratios) == text


def test_an_aim_that_is_missed_says_by_how_much() -> None:
    found = results([15], [10], [Aim(text="twice", figure="rate", over="theirs", least=2)])
    assert "twice: **MISSED**, 1.50, 25% below it" in section(found)
    nothing = results([3], [0], [Aim(text="loses nothing", figure="rate", most=0)])
    assert "loses nothing: **MISSED**, 3" in section(nothing)


def test_the_cpu_of_all_processes_is_a_figure_like_others() -> None:
    found = results([15], [10])
    assert found.series("ours", ALL_CPU) == [3]
    assert found.series("theirs", ALL_CPU) == []
    assert f"{ALL_CPU}: Redis" in section(found)


def test_what_is_kept_is_read_again_and_other_forms_are_left_to_their_readers(tmp_path: Path) -> None:
    found = results([30, 40], [10, 20])
    write(found, tmp_path / "things.json")
    assert read(tmp_path / "things.json") == found

    (tmp_path / "old.json").write_text('{"machine": "of before"}')
    assert read(tmp_path / "old.json") is None

    kept = json.loads((tmp_path / "things.json").read_text())
    (tmp_path / "new.json").write_text(json.dumps(kept | {"schema": 2}))
    with pytest.raises(ValueError, match=r"new\.json has schema 2"):
        read(tmp_path / "new.json")


def test_a_round_tells_the_load_that_it_was_taken_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (7.25, 1.0, 1.0))
    (one,) = compare([Entry(name="ours")], rounds=1, seed=1).taken
    assert one == Round(number=1, entry="ours", load=7.2, figures={}, cpu={}, curve=[])
