import base64
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from simulator.fix import DeviceFix
from simulator.message import payload
from simulator.plan import Plan
from simulator.publisher import NotConnectedError, Publisher
from simulator.replay import merged, replay
from simulator.tracks import Track
from tests.conftest import free_port
from tests.simulator.mqtt_server import MqttServer, mqtt_server
from tests.simulator.recordings import gpx, recorded, walk


def bus(count: int) -> list[DeviceFix]:
    return merged([Track("bus", walk(count))])


def publish(server: MqttServer, count: int, *, window: int = 200) -> Publisher:
    publisher = Publisher(host="127.0.0.1", port=server.port, window=window)
    with publisher:
        replay(bus(count), publisher=publisher, topic="car-iotp", plan=Plan(), progress=lambda: None)
    return publisher


def expected(count: int) -> list[tuple[str, bytes]]:
    return [("car-iotp", payload(fix, "bus")) for fix in walk(count)]


def test_every_fix_is_published_once_and_acknowledged() -> None:
    with mqtt_server() as server:
        publisher = publish(server, 500)

    assert server.received == expected(500)
    assert (publisher.sent, publisher.acknowledged) == (500, 500)


def test_what_a_broken_connection_left_unacknowledged_is_sent_again() -> None:
    with mqtt_server(break_after=30) as server:
        publisher = publish(server, 100)

    assert len(server.connects) == 2
    assert (publisher.sent, publisher.acknowledged) == (100, 100)
    assert set(server.received) == set(expected(100))


def test_no_more_messages_are_under_way_than_the_window_allows() -> None:
    with mqtt_server() as server:
        server.acknowledging.clear()
        publisher = Publisher(host="127.0.0.1", port=server.port, window=5)
        with publisher:
            for _ in range(5):
                publisher.publish("car-iotp", b"")
            sixth = threading.Thread(target=publisher.publish, args=("car-iotp", b""))
            sixth.start()
            sixth.join(timeout=0.2)

            assert sixth.is_alive()
            assert publisher.sent == 5

            server.acknowledging.set()
            sixth.join()
            publisher.wait_for_acknowledgements(lambda: None)
            assert (publisher.sent, publisher.acknowledged) == (6, 6)


def test_where_nobody_listens_the_error_says_what_to_check() -> None:
    with (
        pytest.raises(NotConnectedError, match=r"make run.*MQTT_PORT"),
        Publisher(host="127.0.0.1", port=free_port(), connect_seconds=0.2),
    ):
        pass


def test_a_user_who_is_refused_does_not_wait() -> None:
    with (
        mqtt_server(connack=5) as server,
        pytest.raises(NotConnectedError, match="refuses the connection: not authorized"),
        Publisher(host="127.0.0.1", port=server.port, connect_seconds=60),
    ):
        pass


def test_a_connection_that_stays_away_ends_the_replay() -> None:
    with mqtt_server() as server:
        publisher = Publisher(host="127.0.0.1", port=server.port, reconnect_seconds=0.2)
        with publisher:
            server.connack = 3
            server.break_after = 1
            with pytest.raises(NotConnectedError, match=r"within 0\.2 s"):
                replay(bus(300), publisher=publisher, topic="car-iotp", plan=Plan(), progress=lambda: None)

    assert publisher.acknowledged == 0


def command(*arguments: str, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "simulator", "replay", *arguments],
        env={**os.environ, "MQTT_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_ends_with_one_line_that_says_how_many(tmp_path: Path) -> None:
    track = recorded(tmp_path, gpx(walk(100)))
    with mqtt_server() as server:
        process = command(str(track), "--kind", "mobile", "--shuffle", "1", port=server.port)
        output, errors = process.communicate()

    assert (process.returncode, errors) == (0, "")
    assert re.fullmatch(r"sent 100, acknowledged 100 in \d+\.\d s \(\d+/s\)\n", output)
    assert {topic for topic, _ in server.received} == {"mobile-iotp"}
    assert sorted(message for _, message in server.received) == sorted(payload(fix, "bus 304") for fix in walk(100))


def test_ctrl_c_ends_the_command_with_what_was_done_so_far(tmp_path: Path) -> None:
    track = recorded(tmp_path, gpx(walk(100)))
    with mqtt_server() as server:
        process = command(str(track), "--loop", port=server.port)
        server.wait_for_messages(150)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()

    assert (process.returncode, errors) == (130, "")
    assert re.fullmatch(r"sent \d+, acknowledged \d+ in .*\n", output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shuffle", "1", "--speed", "2"], "--shuffle"),
        (["--speed", "0"], "--speed"),
        (["--speed", "fast"], "--speed"),
        (["--speed", "nan"], "--speed"),
        (["--device", "d" * 129], "--device"),
        (["--username", "bus"], "MQTT_PASSWORD"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused_by_name(tmp_path: Path, arguments: list[str], message: str) -> None:
    track = recorded(tmp_path, gpx(walk(2)))
    process = command(str(track), *arguments, port=1)
    output, errors = process.communicate(input="")

    assert process.returncode != 0
    assert message in errors
    assert "Traceback" not in errors
    assert output == ""


def test_the_device_is_named_after_the_file_unless_it_is_given_a_name(tmp_path: Path) -> None:
    track = recorded(tmp_path, gpx(walk(1)), name="b" * 140 + ".gpx")
    with mqtt_server() as server:
        for arguments in ([], ["--device", "bus"]):
            process = command(str(track), *arguments, port=server.port)
            process.communicate()
            assert process.returncode == 0

    decoded = [base64.b64decode(message) for _, message in server.received]
    assert b'"device_id":"' + b"b" * 128 + b'"' in decoded[0]
    assert b'"device_id":"bus"' in decoded[1]
