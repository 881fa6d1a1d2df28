"""The live map over the API as it is run, with a real Redis."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from bench.presence import SEE, arguments_of, keys_of
from core.kinds import KindId
from tests.browser.page import Page
from tests.conftest import WAIT_SECONDS, free_port
from tests.kinds_of_tests import CAR, MOBILE

NODES = "nodes:{mqtt}"

ROOT = Path(__file__).parents[2]


@contextmanager
def running(port: int, redis_url: str, folder: Path, **settings: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "api"],
        cwd=ROOT,
        env={**os.environ, "API_PORT": str(port), "REDIS_URL": redis_url, "DATA_DIR": str(folder), **settings},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


@pytest.fixture
def presence(redis_server: str) -> Iterator[redis.Redis]:
    over = threading.Event()

    def beat() -> None:
        # A broker that lives: without one, the map would say that nothing comes in.
        while not over.wait(0.5):
            client.hincrby(NODES, "broker", 1)

    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
        beating = threading.Thread(target=beat)
        beating.start()
        yield client
        over.set()
        beating.join()


def arrive(client: redis.Redis, zone: str, kind: KindId, count: int) -> None:
    now = int(time.time() * 1000)
    keys = keys_of(zone, kind)
    client.eval(SEE, len(keys), *keys, *arguments_of(zone, kind, {f"{kind}{number}": now for number in range(count)}))


def answers(port: int) -> bool:
    # Not asked by the browser, which would show an error in place of the page.
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_positions_show_as_they_come_and_an_interruption_is_said_and_over(
    page: Page, presence: redis.Redis, redis_server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    with running(port, redis_server, tmp_path):
        page.until(lambda: answers(port))
        arrive(presence, "kemmy", MOBILE, 3)
        page.open(address)
        page.until(lambda: page.row("kemmy")[1:4] == ["0", "3", "3"])
        page.until(lambda: page.notice() == ("live", "Live"))

        began = time.monotonic()
        arrive(presence, "kemmy", MOBILE, 118)
        arrive(presence, "car-park-west", CAR, 7)
        page.until(lambda: page.row("kemmy")[1:4] == ["0", "118", "118"])
        page.until(lambda: page.row("car-park-west")[1] == "7")
        with capsys.disabled():
            print(f"\na change was seen {time.monotonic() - began:.2f} s after it came")  # noqa: T201 - a figure for those who watch
        page.find("tr[data-zone='kemmy'] button").click()
        page.until(lambda: len(page.all("#panel-charts figure")) == 4)
        page.until(lambda: page.text(".day[data-kind='mobile'] .told") == "nothing recorded yet")
        page.until(lambda: page.text("#panel-note") == "")
        assert page.complaints() == []

    page.until(lambda: page.notice()[0] == "failed")
    assert page.notice()[1].endswith(": The server cannot be reached. Trying again.")

    with running(port, redis_server, tmp_path):
        arrive(presence, "kemmy", MOBILE, 121)
        page.until(lambda: page.row("kemmy")[2] == "121")
        page.until(lambda: page.notice() == ("live", "Live"))
