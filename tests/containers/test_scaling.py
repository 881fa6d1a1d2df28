"""More brokers when it gets busy, fewer when it is quiet: with the real engine, while messages flow."""

import contextlib
import re
import time
from collections.abc import Iterator
from functools import partial

import httpx
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from core.clock import system_clock
from core.kinds import Role
from tests.containers.conftest import IMAGES, Figures
from tests.containers.engine import docker
from tests.containers.numbered import Numbered
from tests.containers.people import People
from tests.containers.results import device_key, differences, wait_until_done
from tests.containers.senders import LEAKS, Connection, Door, Sender, Stream, User
from tests.containers.stack import ARTEFACTS, Container, Stack, until
from tests.kinds_of_tests import CAR_ROLE, MOBILE_ROLE

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2400), *LEAKS]
TRAFFIC = Numbered(prefix="scaling", day="2019-05-07")
WHOLE_DAY = Numbered(prefix="day", day="2019-05-08")
SENSITIVE = {"SCALE_INTERVAL": "1", "SCALE_COOL_DOWN": "5", "BROKER_CONNECTIONS": "20", "SCALE_MAXIMUM": "4"}
"""The load of a whole campus cannot be made here: so a broker carries 20 connections."""
WAVE = 50
DAY = (("quiet", 5, 2), ("nine o'clock", 50, 3), ("lunch", 70, 4), ("evening", 5, 2))
"""What time it is, how many are connected, and how many brokers that takes."""
TOPIC = "v1/tests/scaling"
_ASK = """
import http.client, sys
connection = http.client.HTTPConnection("engine", 2375, timeout=10)
connection.request(sys.argv[1], sys.argv[2])
print(connection.getresponse().status)
"""


@pytest.fixture
def sensitive(stack: Stack) -> Iterator[Stack]:
    """The autoscaler with other limits."""
    stack.compose("up", "--detach", "--no-deps", "engine", "autoscaler", settings=SENSITIVE)
    until(lambda: not stack.unwell(), "the autoscaler is well", told=stack.unwell)
    yield stack
    # It goes with the container.
    (ARTEFACTS / "scaling.log").write_text(stack.logs("autoscaler"))
    stack.compose("up", "--detach", "--no-deps", "engine", "autoscaler")
    until(lambda: not stack.unwell(), "the autoscaler is well", told=stack.unwell)


@pytest.fixture
def foreign(stack: Stack) -> Iterator[str]:
    """A container that looks just like one more broker, of another project."""
    labels = {"project": f"{stack.name}-other", "service": "broker", "container-number": "3", "oneoff": "False"}
    made = docker(
        *("run", "--detach", "--network", "none", "--entrypoint", "python"),
        *(part for name, value in labels.items() for part in ("--label", f"com.docker.compose.{name}={value}")),
        f"{IMAGES['IMAGE_PREFIX']}/setup:dev",
        *("-c", "import time; time.sleep(3600)"),
    ).strip()
    yield made
    docker("rm", "--force", made)


@contextlib.contextmanager
def wave(door: Door, user: User, count: int, name: str = "wave") -> Iterator[None]:
    """So many connections more that are just there."""
    clients = []
    for number in range(count):
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"{name}-{number}", clean_session=True)
        client.username_pw_set(user.name, user.password)
        client.connect(door.host, door.port, keepalive=0)
        clients.append(client)
    try:
        yield
    finally:
        for client in clients:
            client.disconnect()


def in_rotation(stack: Stack) -> int:
    """How many brokers HAProxy sends new clients to, and has seen to be ready."""
    metrics = httpx.get(f"http://127.0.0.1:{stack.ports['HAPROXY_OPS_PORT']}/metrics").text
    # One that DNS has just named counts as up until it was looked at.
    up, seen = (
        set(re.findall(rf'haproxy_server_{what}\{{proxy="brokers",server="([^"]+)",state="{state}"\}} 1', metrics))
        for what, state in (("status", "UP"), ("check_status", "L7OK"))
    )
    return len(up & seen)


def running(stack: Stack) -> list[Container]:
    return [container for container in stack.containers("broker") if container.running]


def serving(stack: Stack, brokers: int) -> bool:
    """Whether so many run, and all of them serve."""
    return len(running(stack)) == in_rotation(stack) == brokers


def test_a_third_broker_comes_with_a_wave_of_connections_and_leaves_after_it_and_nothing_is_lost(
    sensitive: Stack, people: People, figures: Figures, foreign: str
) -> None:
    stack, door = sensitive, people.doors(sensitive)["mqtt"]
    as_it_was = docker("inspect", foreign)
    first = {container.id for container in running(stack)}
    assert len(first) == 2
    positions = Stream(Sender(door, people.gateway, "scaling"), TRAFFIC.message, rate=100)
    news = Stream(Sender(door, people.users[Role.SERVICE], "scaling-news"), headline, rate=20)

    with positions, contextlib.ExitStack() as readers:
        with wave(door, people.users[MOBILE_ROLE], WAVE):
            began = time.monotonic()
            until(lambda: len(running(stack)) == 3, "a third broker runs", 300, told=lambda: stack.logs("autoscaler"))
            came = time.monotonic() - began
            until(lambda: in_rotation(stack) == 3, "it is in rotation", 300, told=lambda: stack.logs("autoscaler"))
            served = time.monotonic() - began
            # Whoever comes now is sent to the newcomer, which has the fewest connections.
            reader = readers.enter_context(Connection(door, people.users[CAR_ROLE], "scaling-reader", clean=False))
            reader.subscribe(TOPIC)
            readers.enter_context(news)
            until(lambda: len(reader.received) > 10, "the reader gets the news")
            assert reader.connects == 1
        began = time.monotonic()
        until(
            lambda: {container.id for container in stack.containers("broker")} == first,
            "the third broker has left",
            300,
            told=lambda: stack.logs("autoscaler"),
        )
        left = time.monotonic() - began
        until(lambda: in_rotation(stack) == 2, "two are in rotation")
        # Its session goes on at another broker, with all that came in between.
        until(lambda: reader.connects == 2, "the reader has come back")
        last = news.count
        until(lambda: news.count > last + 10, "the news go on")
        news.stop()
        until(
            lambda: {int(message.payload) for message in reader.received} == set(range(news.count)),
            "the reader has all the news",
            told=lambda: (news.count, len(reader.received)),
        )

    figures.say(
        f"{WAVE} connections more: a third broker after {came:.1f} s, in rotation after {served:.1f} s; it left"
        f" {left:.1f} s after them; {positions.count} positions and {news.count} messages to a reader it had, none lost"
    )
    assert docker("inspect", foreign) == as_it_was
    wait_until_done(stack)
    truth = TRAFFIC.truth(range(positions.count), device_key(stack), user=people.gateway.name, now=system_clock())
    assert differences(stack, people, truth, TRAFFIC.day) == []


def test_the_number_of_brokers_follows_a_day_in_fast_motion_and_nothing_is_lost(
    sensitive: Stack, people: People, figures: Figures
) -> None:
    stack, door = sensitive, people.doors(sensitive)["mqtt"]
    with Stream(Sender(door, people.gateway, "day"), WHOLE_DAY.message, rate=50) as positions:
        for time_of_day, connections, brokers in DAY:
            began = time.monotonic()
            with wave(door, people.users[MOBILE_ROLE], connections, time_of_day):
                until(
                    partial(serving, stack, brokers),
                    f"{brokers} brokers at {time_of_day}",
                    300,
                    told=lambda: stack.logs("autoscaler"),
                )
                seconds = time.monotonic() - began
                figures.say(f"{time_of_day:>13} {'#' * connections:70} {brokers} brokers after {seconds:.1f} s")
    wait_until_done(stack)
    truth = WHOLE_DAY.truth(range(positions.count), device_key(stack), user=people.gateway.name, now=system_clock())
    assert differences(stack, people, truth, WHOLE_DAY.day) == []


def headline(number: int) -> tuple[str, bytes]:
    return TOPIC, str(number).encode()


def test_the_autoscaler_can_neither_touch_other_projects_nor_ask_for_more(stack: Stack, foreign: str) -> None:
    as_it_was = docker("inspect", foreign)
    autoscaler = stack.one("autoscaler")
    assert "docker.sock" not in str(autoscaler.about["Mounts"])
    redis = stack.one("redis").id
    for method, path in (
        ("POST", f"/containers/{foreign}/kill?signal=SIGTERM"),
        ("DELETE", f"/containers/{foreign}"),
        ("POST", f"/containers/{redis}/stop"),
        ("POST", "/containers/create"),
        ("POST", f"/containers/{redis}/exec"),
        ("GET", "/images/json"),
        ("GET", "/info"),
    ):
        assert autoscaler.run("python", "-c", _ASK, method, path).strip() in {"403", "404"}, path
    assert docker("inspect", foreign) == as_it_was
    assert stack.unwell() == []


def test_it_says_what_it_would_do(stack: Stack) -> None:
    told = stack.one("autoscaler").run("python", "-m", "autoscaler", "--once")
    assert re.search(r"broker .* 2 .* 2 .* do nothing", told), told
