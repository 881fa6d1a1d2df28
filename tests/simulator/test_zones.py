"""The outline of the campus, asked once for many devices; and what `campus --own-connections` refuses."""

import pytest
from typer.testing import CliRunner

from simulator.__main__ import app
from simulator.zones import ClosedError, NoOutlineError, Outline, SharedZones

FIRST, SECOND = Outline([[[0, 0], [1, 0], [1, 1]]], '"1"'), Outline([[[0, 0], [2, 0], [2, 2]]], '"2"')


class Api:
    """Answers what a test wants."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.answer: Outline | NoOutlineError | None = FIRST
        self.seconds = 100.0
        self.shared = SharedZones(self, lambda: self.seconds)

    def __call__(self, etag: str | None) -> Outline | None:
        self.asked.append(etag)
        if isinstance(self.answer, NoOutlineError):
            raise self.answer
        return self.answer


def test_many_are_answered_by_one_question_and_those_who_have_it_hear_no_news() -> None:
    api = Api()
    assert [api.shared(None) for _ in range(3)] == [FIRST] * 3
    assert api.shared('"1"') is None
    assert api.asked == [None]


def test_after_a_while_it_is_asked_with_the_tag_and_who_has_the_old_outline_gets_the_new_one() -> None:
    api = Api()
    api.shared(None)
    api.answer = None
    api.seconds += 20
    assert api.shared('"1"') is None
    api.answer = SECOND
    api.seconds += 20
    assert [api.shared('"1"'), api.shared(None), api.shared('"2"')] == [SECOND, SECOND, None]
    assert api.asked == [None, '"1"', '"1"']


def test_an_api_that_is_away_leaves_the_last_outline_and_one_that_is_closed_does_not() -> None:
    api = Api()
    api.answer = NoOutlineError("the API is away")
    for _ in range(2):
        with pytest.raises(NoOutlineError, match="the API is away"):
            api.shared(None)
    assert len(api.asked) == 1
    api.answer = FIRST
    api.seconds += 20
    assert api.shared(None) == FIRST
    api.answer = NoOutlineError("away again")
    api.seconds += 20
    assert api.shared(None) == FIRST
    api.answer = ClosedError("not open")
    api.seconds += 20
    for _ in range(2):
        with pytest.raises(ClosedError, match="not open"):
            api.shared('"1"')


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--own-connections"], "for 500 devices at the most, spoofers included, and these are 2000"),
        (["--own-connections", "--devices", "500", "--spoofers", "1"], "and these are 501"),
        (["--own-connections", "--devices", "9", "--time-scale", "2"], "goes without --time-scale, --start and --warm"),
        (["--own-connections", "--devices", "9", "--start", "2026-11-24T09:00:00Z"], "is for what happens now"),
        (["--own-connections", "--devices", "9", "--warm"], "is for what happens now"),
        (["--own-connections", "--devices", "9", "--api", "ftp://a"], "ftp://a/v1/zones is no address of the API"),
        (["--api", "http://127.0.0.1:8080"], "--api is for --own-connections"),
    ],
)
def test_what_cannot_be_with_own_connections_is_refused_with_a_sentence(options: list[str], problem: str) -> None:
    done = CliRunner().invoke(app, ["campus", *options])
    assert done.exit_code == 1
    assert problem in done.stderr
