"""What ends on the way of a line: nothing is missing afterwards, and nothing is there twice."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.system import wait_for
from tests.observability.shipper import Shipper, docker_lines
from tests.opensearch.server import OpenSearchServer

pytestmark = [pytest.mark.observability, pytest.mark.timeout(600)]
NewShipper = Callable[[str, str], Shipper]
WAIT_SECONDS = 240.0
MEMORY = 128 * 1024 * 1024
"""What compose gives it."""


def lines(first: int, count: int) -> str:
    return docker_lines(
        json.dumps({"event": f"line {number}", "timestamp": "2026-11-30T20:00:00Z"})
        for number in range(first, first + count)
    )


def append(file: Path, text: str) -> None:
    with file.open("a") as end:
        end.write(text)


def all_there_once(opensearch: OpenSearchServer, count: int) -> None:
    wait_for(lambda: opensearch.count() >= count, f"{count} documents", WAIT_SECONDS)
    seen = Counter(each["event"] for each in opensearch.documents())
    assert seen == {f"line {number}": 1 for number in range(count)}


def test_a_store_that_was_away_gets_what_was_written_meanwhile_also_where_the_shipper_ended_too(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path
) -> None:
    file = tmp_path / "0-json.log"
    append(file, lines(0, 3000))
    shipper = new_shipper(str(tmp_path / "*-json.log"), opensearch.url)
    # In the midst of it.
    wait_for(lambda: opensearch.count() > 0, "a first document", WAIT_SECONDS)
    opensearch.kill()
    append(file, lines(3000, 4000))
    opensearch.wait_until_somebody_asks()
    # rsyslog drops the batch that it was about to send, and says "some data may be lost": it is read again.
    shipper.stop()
    append(file, lines(7000, 500))
    shipper.start()
    opensearch.wait_until_somebody_asks()
    opensearch.start()
    append(file, lines(7500, 500))
    all_there_once(opensearch, 8000)
    assert shipper.memory < MEMORY


def test_a_shipper_that_was_killed_reads_again_what_it_may_not_have_sent(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path
) -> None:
    file = tmp_path / "0-json.log"
    append(file, lines(0, 3000))
    shipper = new_shipper(str(tmp_path / "*-json.log"), opensearch.url)
    wait_for(lambda: opensearch.count() > 0, "a first document", WAIT_SECONDS)
    shipper.kill()
    append(file, lines(3000, 1000))
    shipper.start()
    all_there_once(opensearch, 4000)
    # An end that is asked for, and another crash: what is known since the first is enough.
    shipper.stop()
    append(file, lines(4000, 500))
    shipper.start()
    all_there_once(opensearch, 4500)
    shipper.kill()
    append(file, lines(4500, 500))
    shipper.start()
    all_there_once(opensearch, 5000)


def test_a_file_that_docker_has_put_aside_is_read_to_its_end_and_the_next_from_its_beginning(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path
) -> None:
    file = tmp_path / "0-json.log"
    append(file, lines(0, 500))
    shipper = new_shipper(str(tmp_path / "*-json.log*"), opensearch.url)
    wait_for(lambda: opensearch.count() > 0, "a first document", WAIT_SECONDS)
    append(file, lines(500, 500))
    file.rename(tmp_path / "0-json.log.1")
    append(file, lines(1000, 500))
    all_there_once(opensearch, 1500)
    # Twice while nobody reads: both that were put aside are read at the next start.
    shipper.stop()
    (tmp_path / "0-json.log.1").rename(tmp_path / "0-json.log.2")
    append(file, lines(1500, 250))
    file.rename(tmp_path / "0-json.log.1")
    append(file, lines(1750, 250))
    shipper.start()
    all_there_once(opensearch, 2000)
