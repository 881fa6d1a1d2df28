"""The live map says how good what it shows is, and comes back by itself."""

from tests.browser.page import Page
from tests.browser.stage import Stage

LATER = """
const real = performance.now.bind(performance);
performance.now = () => real() + arguments[0];
"""
LOOKED_AT = "document.dispatchEvent(new Event('visibilitychange'))"


def test_a_stream_that_ends_is_opened_again_before_anybody_sees_it(page: Page, stage: Stage) -> None:
    page.open(stage.address)
    page.until(lambda: stage.streams == 1)

    stage.cut_streams()
    page.until(lambda: stage.asked.count("events") == 2 and stage.streams == 1)
    stage.set("languages", 2, 700)

    page.until(lambda: page.row("languages")[3] == "702")
    assert page.notice() == ("live", "Live")


def test_without_a_stream_the_counts_are_asked_for_and_that_is_said(page: Page, stage: Stage) -> None:
    stage.refuses_streams = True
    page.open(stage.address)
    page.until(lambda: page.notice()[0] == "asking")
    page.keep_picture("interrupted")

    stage.set("languages", 2, 700)

    page.until(lambda: page.row("languages")[3] == "702")
    assert page.notice()[1] == "The live stream is interrupted. The counts are asked for every few seconds."


def test_a_server_that_does_not_answer_is_said_and_its_return_is_seen(page: Page, stage: Stage) -> None:
    page.open(stage.address)
    page.until(lambda: page.notice()[0] == "live")

    stage.down = True
    stage.cut_streams()
    page.until(lambda: page.notice()[0] == "failed")
    page.keep_picture("failed")
    assert page.notice()[1].startswith("No new counts since ")
    assert page.notice()[1].endswith(": The store is away. Trying again.")
    assert "old" in str(page.find("body").get_attribute("class"))
    # What was known stays on the screen.
    assert page.row("main")[3] == "515"

    stage.down = False
    stage.set("main", 3, 513)
    page.until(lambda: page.row("main")[3] == "516")
    page.until(lambda: page.notice()[0] in {"asking", "live"})


def test_a_server_that_was_away_at_first_is_asked_again(page: Page, stage: Stage) -> None:
    stage.down = True
    page.driver.get(stage.address)
    page.until(lambda: page.notice() == ("failed", "No counts yet: The store is away. Trying again."))

    stage.down = False

    page.until(lambda: len(page.all("#map path.zone")) == 22)
    page.until(lambda: page.row("main")[3] == "515")


def test_counts_that_grow_old_are_said_to_be_old(page: Page, stage: Stage) -> None:
    stage.frozen_at = 1_772_366_400_000
    page.open(stage.address)
    page.until(lambda: page.notice()[0] == "live")

    page.script(LATER, 60_000)
    page.script(LOOKED_AT)

    page.until(lambda: page.notice()[0] == "stale")
    assert page.notice()[1].startswith("The counts are old: they are those of ")

    stage.frozen_at = None
    page.script(LOOKED_AT)
    page.until(lambda: page.notice()[0] == "live")


def test_counting_that_is_behind_is_said(page: Page, stage: Stage) -> None:
    stage.lag_seconds = 240
    page.open(stage.address)

    page.until(lambda: page.notice() == ("behind", "Counting is 4 minutes behind: the counts may be too low."))


def test_that_nothing_comes_in_is_said_in_the_words_of_the_server(page: Page, stage: Stage) -> None:
    stage.stale = "No broker has given a sign of life since 12:00: these counts are too low."
    page.open(stage.address)

    page.until(lambda: page.notice() == ("stale", stage.stale))

    stage.stale = None
    page.script(LOOKED_AT)
    page.until(lambda: page.notice()[0] == "live")


def test_changes_are_read_aloud_only_now_and_then(page: Page, stage: Stage) -> None:
    page.open(stage.address)
    page.until(lambda: stage.streams == 1)
    stage.set("languages", 0, 20)
    page.until(lambda: page.row("languages")[3] == "20")
    assert page.script("return document.getElementById('spoken').textContent") == ""

    page.script(LATER, 60_000)
    stage.set("languages", 0, 30)

    sentence = "312 cars and 1,843 phones on the campus. Most are at Main Building (Blocks A to E): 515."
    page.until(lambda: page.script("return document.getElementById('spoken').textContent") == sentence)
