"""An open loop: what is due is sent when it is due, and a server that stalls shows it."""

import asyncio
import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.load.measured import Measured
from simulator.load.mqtt_load import LoadError, Message, MqttLoad
from simulator.load.rest_load import RestLoad
from simulator.load.run import Summary, run
from simulator.load.schedule import Schedule
from simulator.login import Login
from tests.conftest import free_port
from tests.simulator.mqtt_server import MqttServer, mqtt_server

ROOT = Path(__file__).resolve().parents[2]


@given(st.floats(0.1, 100_000), st.floats(1, 60), st.floats(0, 60))
def test_what_is_due_by_a_time_was_due_before_it_and_the_next_was_not(rate: float, seconds: float, now: float) -> None:
    schedule = Schedule(rate, seconds)
    due = schedule.due_by(now)
    assert due <= schedule.total
    if due:
        assert schedule.due(due - 1) <= now + 1e-9
    if due < schedule.total:
        assert schedule.due(due) > now - 1e-9


def test_a_schedule_is_even() -> None:
    schedule = Schedule(200, 3)
    assert schedule.total == 600
    assert [schedule.due(number) for number in (0, 1, 200, 599)] == [0, 0.005, 1.0, 2.995]
    assert [schedule.due_by(elapsed) for elapsed in (-1, 0, 0.004, 0.006, 100)] == [0, 1, 1, 2, 600]


def test_latencies_are_those_of_a_histogram_of_three_digits() -> None:
    measured = Measured()
    measured.begun = 100.0
    for number in range(1000):
        due = 100.0 + number / 500
        measured.was_sent(due, due + 0.001)
        measured.was_answered(due, due + (2.0 if number >= 990 else 0.010), "PUBACK")
    assert measured.latency.p50 == pytest.approx(10, rel=0.002)
    assert measured.latency.p99 == pytest.approx(10, rel=0.002)
    assert measured.latency.p99_9 == pytest.approx(2000, rel=0.002)
    assert measured.latency.max == pytest.approx(2000, rel=0.002)
    assert measured.lateness.max == pytest.approx(1, rel=0.002)
    first, second = measured.by_second()
    assert (first.second, first.due, first.known, second.second, second.due) == (0, 500, 500, 1, 500)
    assert first.max == pytest.approx(10, rel=0.02)
    assert second.max == pytest.approx(2000, rel=0.02)


def test_a_latency_beyond_a_minute_counts_as_a_minute_and_no_messages_have_none() -> None:
    measured = Measured()
    assert measured.latency.max == 0
    measured.was_not_answered(0, 500)
    assert measured.latency.p50 == pytest.approx(60_000, rel=0.002)


async def over_mqtt(server: MqttServer, rate: float, seconds: float, *, connections: int = 4) -> Summary:
    measured = Measured()
    target = MqttLoad([Message("car-iotp", b"one"), Message("car-iotp", b"other")], measured, time.monotonic)
    await target.open(connections, host="127.0.0.1", port=server.port, login=Login("gate", "secret"))
    return await run(
        target,
        Schedule(rate, seconds),
        measured,
        over="mqtt",
        connections=connections,
        elapsed=time.monotonic,
        progress=lambda _due: None,
    )


def test_all_that_is_due_is_sent_in_turn_over_all_connections_and_acknowledged() -> None:
    with mqtt_server() as server:
        summary = asyncio.run(over_mqtt(server, 400, 1))
        assert len(server.connects) == 4
        assert all(b"gate" in connect and b"secret" in connect for connect in server.connects)
        assert sorted(payload for _, payload in server.received) == [b"one"] * 200 + [b"other"] * 200
    assert (summary.due, summary.sent, summary.answered, summary.answers) == (400, 400, 400, {"PUBACK": 400})
    assert summary.broken == {}
    assert 0 < summary.latency_ms.p50 <= summary.latency_ms.p99 <= summary.latency_ms.max
    assert sum(second.due for second in summary.by_second) == 400


@contextmanager
def stalling(server: MqttServer, *, after: int, seconds: float) -> Iterator[None]:
    """Keep all acknowledgements for a while, once so many messages have come."""

    def stall() -> None:
        server.wait_for_messages(after)
        server.acknowledging.clear()
        time.sleep(seconds)  # this is what is tested
        server.acknowledging.set()

    thread = threading.Thread(target=stall)
    thread.start()
    yield
    thread.join()


def test_a_server_that_stalls_for_two_seconds_shows_it_as_latency_and_not_as_less_load() -> None:
    with mqtt_server() as server, stalling(server, after=100, seconds=2):
        summary = asyncio.run(over_mqtt(server, 100, 5))
    assert (summary.due, summary.sent, summary.answered) == (500, 500, 500)
    # Of five seconds two were without answers: in each of them every message was due, and waited until the end.
    assert summary.latency_ms.p99 > 1700
    assert summary.latency_ms.max >= 1900
    waited = [second for second in summary.by_second if second.max > 800]
    assert len(waited) >= 2
    assert all(second.due == 100 for second in waited)


def test_a_connection_that_breaks_leaves_its_messages_without_an_answer_and_the_others_go_on() -> None:
    with mqtt_server(break_after=50) as server:
        summary = asyncio.run(over_mqtt(server, 200, 1))
    assert (summary.due, summary.sent) == (200, 200)
    assert sum(summary.broken.values()) == 1
    assert 100 <= summary.answered < 190
    assert sum(second.known for second in summary.by_second) == 200


def test_who_is_not_let_in_is_told_so() -> None:
    with mqtt_server(connack=5) as server, pytest.raises(LoadError, match="code 5"):
        asyncio.run(over_mqtt(server, 10, 1))
    nobody = MqttLoad([Message("car-iotp", b"")], Measured(), time.monotonic)
    with pytest.raises(LoadError, match=r"MQTT at 127\.0\.0\.1"):
        asyncio.run(nobody.open(1, host="127.0.0.1", port=free_port(), login=Login()))


class Rest:
    """Answers POSTs, but while it stalls; each tenth connection is closed after its answer."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.going = asyncio.Event()
        self.going.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(length))
                number = len(self.bodies)
                await self.going.wait()
                status = b"429 Too Many Requests" if number % 7 == 0 else b"202 Accepted"
                last = number % 10 == 0
                writer.write(
                    b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n" + b"Connection: close\r\n" * last + b"\r\n{}"
                )
                if last:
                    return
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def rest() -> AsyncIterator[tuple[Rest, str]]:
    answering = Rest()
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        await answering.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield answering, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        # Who loaded has ended its connections; what is read of them ends, too.
        await asyncio.wait_for(asyncio.gather(*served), 30)


async def over_rest(url: str, rate: float, seconds: float) -> Summary:
    measured = Measured()
    target = RestLoad([b"one", b"other"], measured, time.monotonic)
    await target.open(3, url=url, path="/v1/positions?kind=car", key="ck")
    return await run(
        target,
        Schedule(rate, seconds),
        measured,
        over="rest",
        connections=3,
        elapsed=time.monotonic,
        progress=lambda _due: None,
    )


async def test_over_rest_all_that_is_due_is_posted_and_each_status_is_told() -> None:
    async with rest() as (answering, url):
        summary = await over_rest(url, 100, 1)
    assert (summary.due, summary.sent, summary.answered) == (100, 100, 100)
    assert summary.answers == {"202": 86, "429": 14}
    assert sorted(answering.bodies) == [b"one"] * 50 + [b"other"] * 50
    assert answering.heads[0].startswith(b"POST /v1/positions?kind=car HTTP/1.1\r\n")
    assert b"Authorization: Bearer ck\r\n" in answering.heads[0]


async def test_over_rest_a_server_that_stalls_shows_it_as_latency_too() -> None:
    async with rest() as (answering, url):

        async def stall() -> None:
            await asyncio.sleep(1)
            answering.going.clear()
            await asyncio.sleep(1.5)  # this is what is tested
            answering.going.set()

        stalled = asyncio.create_task(stall())
        summary = await over_rest(url, 100, 4)
        await stalled
    assert (summary.due, summary.answered) == (400, 400)
    assert summary.latency_ms.p99 > 1200
    assert [second.due for second in summary.by_second] == [100, 100, 100, 100]


async def test_what_is_no_address_of_an_api_and_what_is_away_is_told() -> None:
    for url in ("https://127.0.0.1", "ftp://x", f"http://127.0.0.1:{free_port()}"):
        with pytest.raises(LoadError, match=url):
            await RestLoad([b""], Measured(), time.monotonic).open(1, url=url, path="/", key=None)


def loaded(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulator", "load", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_command_tells_its_progress_and_a_table_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "load.json"
    with mqtt_server() as server:
        done = loaded(
            *("--port", str(server.port), "--rate", "50", "--connections", "2", "--seconds", "2.5"),
            *("--devices", "10", "--json", str(file)),
        )
        features = [json.loads(base64.b64decode(payload)) for _, payload in server.received]
        topics = {topic for topic, _ in server.received}
    assert done.returncode == 0, done.stderr
    assert " due, " in done.stderr
    assert "from due to answer" in done.stdout
    assert "answered with PUBACK: 125" in done.stdout
    summary = json.loads(file.read_text())
    assert (summary["due"], summary["answered"], summary["connections"]) == (125, 125, 2)
    assert topics == {"car-iotp"}
    assert {each["properties"]["device_id"] for each in features} == {f"load-{number:05d}" for number in range(10)}
    assert all("timestamp" not in each["properties"] for each in features)


def test_the_command_says_in_one_sentence_that_nobody_is_there() -> None:
    for options in (("--port", str(free_port())), ("--over", "rest", "--api", f"http://127.0.0.1:{free_port()}")):
        done = loaded(*options)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
