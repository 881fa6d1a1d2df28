"""The next version of the API and of the broker takes over from the present one, in containers: sessions stay."""

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from core.clock import system_clock
from core.kinds import Role
from tests.containers.conftest import Figures
from tests.containers.numbered import Numbered
from tests.containers.people import People
from tests.containers.results import device_key, differences, wait_until_done
from tests.containers.senders import LEAKS, Connection, Sender, Stream
from tests.containers.stack import Stack, until
from tests.kinds_of_tests import CAR_ROLE

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2400), *LEAKS]
DAYS = itertools.count(16)
"""Of May: how much is sent is not the same each time, so whoever tries again has a day of his own."""
TOPIC = "v1/news/next"
NEXT = {"API_NEXT_FQDN": "api-next", "BROKER_NEXT_FQDN": "broker-next"}


def headline(number: int) -> tuple[str, bytes]:
    """Topic and payload."""
    return TOPIC, str(number).encode()


@pytest.fixture
def both(stack: Stack) -> Iterator[Stack]:
    """The system with the next version of both beside the present one: here of the same images."""
    stack.compose(
        *("--profile", "next", "up", "--detach", "--no-deps", "haproxy", "broker-next", "api-next"),
        seconds=120,
        settings=NEXT,
    )
    until(lambda: not stack.unwell(), "all containers are well", 300, told=stack.unwell)
    yield stack
    stack.compose("--profile", "next", "rm", "--stop", "--force", "broker-next", "api-next")
    stack.compose("up", "--detach", "--no-deps", "haproxy")
    until(lambda: not stack.unwell(), "all containers are well", 300, told=stack.unwell)


def put(client: httpx.Client, app: str, shares: dict[str, int]) -> None:
    answer = client.put(f"/v1/apps/{app}/route", json={"shares": shares, "why": "a test"}, headers={"If-Match": "*"})
    assert answer.is_success, answer.text


def version(client: httpx.Client) -> str:
    """Of the API that answers."""
    return str(client.get("/v1/zones").headers.get("X-Campus-App-Version", ""))


def versions(client: httpx.Client, app: str) -> dict[str, bool]:
    found = client.get(f"/v1/apps/{app}")
    return {each["version"]: each["healthy"] for each in found.json()["versions"]} if found.is_success else {}


def test_the_next_api_and_broker_take_over_with_all_sessions_and_give_them_back(
    both: Stack, people: People, figures: Figures
) -> None:
    door, now = people.doors(both)["mqtt"], system_clock()
    key = {"Authorization": f"Bearer {people.api_key}"}
    traffic = Numbered(prefix="next", day=f"2019-05-{next(DAYS)}")
    positions = Stream(Sender(door, people.gateway, "next"), traffic.message, rate=30)
    news = Stream(Sender(door, people.users[Role.SERVICE], "next-news"), headline, rate=10)
    reader = Connection(door, people.users[CAR_ROLE], "next-reader", clean=False)
    took = []
    with httpx.Client(base_url=both.url, headers=key, timeout=30) as client, positions, ExitStack() as running:
        for app in ("api", "broker"):
            until(lambda: versions(client, app) == {"current": True, "next": True}, f"both of {app} are seen", 300)  # noqa: B023
        with reader:
            reader.subscribe(TOPIC)
            running.enter_context(news)
            until(lambda: reader.received, "the reader gets the news")
        for shares in ({"current": 0, "next": 100}, {"current": 100, "next": 0}):
            began = time.monotonic()
            for app in ("api", "broker"):
                put(client, app, shares)
            wanted = next(name for name, share in shares.items() if share)
            until(lambda: version(client) == wanted, f"the API is {wanted}", 300)  # noqa: B023
            took.append(time.monotonic() - began)
            # Who comes now comes to the other broker, to a session that has waited.
            last = news.count
            with Connection(door, people.users[CAR_ROLE], "next-reader", clean=False) as again:
                until(lambda: again.received and int(again.received[-1].payload) > last, "the news go on")  # noqa: B023
                reader.received += again.received
        news.stop()
        with Connection(door, people.users[CAR_ROLE], "next-reader", clean=False) as again:
            until(
                lambda: {int(each.payload) for each in (*reader.received, *again.received)} == set(range(news.count)),
                "the reader has all the news",
                told=lambda: (news.count, len(reader.received)),
            )
    figures.say(f"api and broker, next and back again: the API after {[round(each, 2) for each in took]} s")
    acknowledged = positions.sender.acknowledged()
    wait_until_done(both)
    truth = traffic.truth(acknowledged, device_key(both), user=people.gateway.name, now=now)
    assert differences(both, people, truth, traffic.day) == []
