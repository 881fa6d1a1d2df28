import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.conftest import wait_until

PATIENT = 60.0
"""Seconds that a process may take to end: a shell that is to be heard has time for it, however busy the machine is."""
FOREVER = "while :; do sleep 0.05; done"
TALKING = "while :; do echo x; sleep 0.05; done"


def writes(line: str, log: Path) -> str:
    return f'echo {line} >> "{log}"'


def service(name: str, log: Path, *, on_term: str = "exit 0", work: str = FOREVER) -> str:
    # PIPE: Redis, HAProxy and Python do the same, so that the end of who reads their log is not their own.
    return f"trap '' PIPE; trap '{writes(f'{name} ends', log)}; {on_term}' TERM; {writes(f'{name} up', log)}; {work}"


@pytest.fixture
def log() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.touch()
        yield path


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(*until: Path, kill_wait: float = PATIENT, **scripts: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.deploy.run_these", json.dumps(scripts), str(kill_wait)]
        command += map(str, until)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines()


def wait_for_lines(log: Path, count: int) -> None:
    wait_until(lambda: len(lines(log)) >= count)


def test_both_redis_are_stopped_when_all_others_have_gone(start: Start, log: Path) -> None:
    slow = f"sleep 0.4; {writes('broker is done', log)}; exit 0"
    process = start(redis=service("redis", log), keys=service("keys", log), broker=service("broker", log, on_term=slow))
    wait_for_lines(log, 3)

    process.send_signal(signal.SIGTERM)
    process.communicate()

    ends = lines(log)[3:]
    assert ends[:2] == ["broker ends", "broker is done"]
    assert set(ends[2:]) == {"keys ends", "redis ends"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_redis_is_stopped_when_all_others_have_gone(start: Start, log: Path, number: int) -> None:
    slow = f"sleep 0.4; {writes('broker is done', log)}; exit 0"
    process = start(redis=service("redis", log), broker=service("broker", log, on_term=slow), api=service("api", log))
    wait_for_lines(log, 3)

    process.send_signal(number)
    output, errors = process.communicate()

    assert (process.returncode, errors) == (0, "")
    ends = lines(log)[3:]
    assert set(ends[:2]) == {"broker ends", "api ends"}
    assert ends[2:] == ["broker is done", "redis ends"]
    assert "here we go" in output


def test_a_signal_at_the_very_beginning_ends_the_run_as_well(start: Start, log: Path) -> None:
    process = start(redis=service("redis", log), api=service("api", log))
    assert process.stdout is not None
    assert "here we go" in process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()

    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("ends", "how"),
    [
        ("exit 3", "ended with exit code 3"),
        ("exit 0", "ended with exit code 0"),
        ("kill -9 $$", "was ended by SIGKILL"),
    ],
)
def test_a_process_that_ends_is_started_again_and_the_others_stay(start: Start, log: Path, ends: str, how: str) -> None:
    once = f"[ $(grep -c 'decoder up' '{log}') -gt 1 ] || {ends}"
    process = start(
        redis=service("redis", log), api=service("api", log), decoder=service("decoder", log, work=f"{once}; {FOREVER}")
    )
    wait_for_lines(log, 4)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()

    assert (process.returncode, errors) == (0, "")
    assert sorted(lines(log)[:4]) == ["api up", "decoder up", "decoder up", "redis up"]
    assert f"decoder {how}, and is started again in 1 s" in output


def test_redis_is_started_again_too_and_still_ends_last(start: Start, log: Path) -> None:
    once = f"[ $(grep -c 'redis up' '{log}') -gt 1 ] || exit 1"
    process = start(redis=service("redis", log, work=f"{once}; {FOREVER}"), api=service("api", log))
    wait_for_lines(log, 3)
    process.send_signal(signal.SIGINT)
    process.communicate()

    assert lines(log)[3:] == ["api ends", "redis ends"]


def test_a_process_that_ends_three_times_within_a_minute_ends_the_run_with_its_last_lines(
    start: Start, log: Path
) -> None:
    decoder = f"{writes('decoder up', log)}; echo why; exit 3"
    process = start(redis=service("redis", log), api=service("api", log), decoder=decoder)
    _, errors = process.communicate()

    assert process.returncode == 1
    assert errors == (
        "decoder ended with exit code 3, the last of 3 times within 60 s, so everything was stopped; its last lines:\n"
        "  why\n  why\n  why\n"
    )
    assert lines(log).count("decoder up") == 3
    assert lines(log)[-2:] == ["api ends", "redis ends"]


def test_settings_that_cannot_work_end_the_run_at_once_at_the_first_start(start: Start, log: Path) -> None:
    process = start(redis=service("redis", log), decoder="echo 'CLOUDANT_URL: not set'; exit 2")
    _, errors = process.communicate()

    assert process.returncode == 1
    assert errors == (
        "decoder ended with exit code 2, so everything was stopped; its last lines:\n  CLOUDANT_URL: not set\n"
    )


@pytest.mark.parametrize(
    ("ends", "lives", "how"),
    [("exit 2", 1, "ended with exit code 2"), ("exit 3", 3, "the last of 3 times within 60 s")],
)
def test_who_is_not_needed_and_cannot_run_is_left_and_nothing_else_ends(
    start: Start, log: Path, ends: str, lives: int, how: str
) -> None:
    told: list[str] = []
    process = start(redis=service("redis", log), extra=f"{writes('extra up', log)}; {ends}")
    threading.Thread(target=lambda: told.extend(process.stdout or []), daemon=True).start()
    wait_until(lambda: "is not started again: all else runs without it" in "".join(told))
    assert how in "".join(told)
    # Redis is there still, and ends when it is asked to.
    wait_until(lambda: "redis up" in lines(log))
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait() == 0
    assert lines(log).count("extra up") == lives


def test_settings_that_are_refused_later_are_tried_again(start: Start, log: Path) -> None:
    lives = f"case $(grep -c 'decoder up' '{log}') in 1) exit 1;; 2) exit 2;; esac"
    process = start(redis=service("redis", log), decoder=service("decoder", log, work=f"{lives}; {FOREVER}"))
    wait_until(lambda: lines(log).count("decoder up") == 3)
    process.send_signal(signal.SIGINT)
    process.communicate()

    assert process.returncode == 0


def test_a_signal_ends_the_run_also_while_a_process_waits_for_its_next_start(start: Start, log: Path) -> None:
    process = start(redis=service("redis", log), decoder=f"{writes('decoder up', log)}; exit 1")
    wait_until(lambda: lines(log).count("decoder up") == 2)  # the next pause is two seconds
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()

    assert (process.returncode, errors) == (0, "")
    assert lines(log).count("decoder up") == 2


def test_a_run_that_a_script_has_started_in_the_background_ends_with_sigint_all_the_same(
    start: Start, log: Path
) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does, and as children inherit it
    try:
        process = start(redis=service("redis", log))
    finally:
        signal.signal(signal.SIGINT, before)
    wait_for_lines(log, 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()

    assert (process.returncode, errors) == (0, "")
    assert lines(log) == ["redis up", "redis ends"]


def test_a_program_that_is_not_there_ends_the_run_and_is_named(start: Start) -> None:
    process = start(redis=FOREVER, api="exec /nowhere/api")
    _, errors = process.communicate()

    assert process.returncode == 1
    assert errors.startswith("api ended with exit code 127, the last of 3 times within 60 s")


def test_who_does_not_stop_is_killed_and_redis_still_ends_last(start: Start, log: Path) -> None:
    process = start(redis=service("redis", log), broker=service("broker", log, on_term=":"), kill_wait=5)
    wait_for_lines(log, 2)

    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()

    assert process.returncode == 0
    assert lines(log)[2:] == ["broker ends", "redis ends"]
    assert "sending SIGKILL to broker" in output
    assert "sending SIGKILL to redis" not in output


def test_where_the_runner_is_killed_its_processes_end_themselves(start: Start, log: Path) -> None:
    process = start(redis=service("redis", log), api=service("api", log))
    wait_for_lines(log, 2)

    process.kill()

    wait_for_lines(log, 4)
    assert set(lines(log)[2:]) == {"redis ends", "api ends"}


def test_what_processes_write_has_their_name_before_it(start: Start) -> None:
    process = start(redis=FOREVER, api="echo 'a  $HOME \"quoted\" line'; exit 2")
    output, _ = process.communicate()

    assert any(line.endswith('api    | a  $HOME "quoted" line') for line in output.splitlines())


def test_the_run_ends_in_order_where_nobody_reads_its_log_any_more(start: Start, log: Path) -> None:
    process = start(
        redis=service("redis", log),
        api=service("api", log, work=TALKING),
    )
    wait_for_lines(log, 2)
    assert process.stdout is not None
    process.stdout.close()

    process.send_signal(signal.SIGTERM)

    wait_for_lines(log, 4)
    assert lines(log)[2:] == ["api ends", "redis ends"]


def test_a_process_that_is_held_starts_when_it_is_released_and_not_before(start: Start, log: Path) -> None:
    released = log.with_name("released")
    running = start(released, redis=service("redis", log), held=service("held", log))
    wait_for_lines(log, 1)
    assert lines(log) == ["redis up"]

    released.touch()

    wait_for_lines(log, 2)
    assert lines(log) == ["redis up", "held up"]
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 0
    assert lines(log)[2:] == ["held ends", "redis ends"]


def test_a_process_that_is_never_released_is_in_nobodys_way_at_the_end(start: Start, log: Path) -> None:
    running = start(log.with_name("never"), redis=service("redis", log), held=service("held", log))
    wait_for_lines(log, 1)

    running.send_signal(signal.SIGINT)

    assert running.wait(60) == 0
    assert lines(log) == ["redis up", "redis ends"]
