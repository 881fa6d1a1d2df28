import signal
import threading

import pytest

from simulator.interrupts import Interrupts


@pytest.fixture
def interrupts() -> Interrupts:
    found = Interrupts()
    found.begin()
    return found


def test_ctrl_c_comes_once_what_holds_it_has_ended_and_not_before(interrupts: Interrupts) -> None:
    done = []

    def work() -> None:
        with interrupts.held():
            signal.raise_signal(signal.SIGINT)
            done.append("all of it")
        done.append("more")

    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        with interrupts.held():
            done.append("and no second time")
    finally:
        interrupts.end()

    assert done == ["all of it", "and no second time"]


def test_ctrl_c_comes_where_it_is_looked_for(interrupts: Interrupts) -> None:
    try:
        with interrupts.held():
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                interrupts.check()
    finally:
        interrupts.end()


def test_ctrl_c_comes_also_where_what_held_it_has_failed(interrupts: Interrupts) -> None:
    def fail() -> None:
        with interrupts.held():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("of the work")

    try:
        with pytest.raises(KeyboardInterrupt) as raised:
            fail()
        assert isinstance(raised.value.__context__, ValueError)
        with interrupts.held():
            pass
    finally:
        interrupts.end()


def test_it_is_given_back_to_whoever_had_it() -> None:
    before = signal.getsignal(signal.SIGINT)
    interrupts = Interrupts()

    interrupts.begin()
    assert signal.getsignal(signal.SIGINT) != before
    interrupts.end()

    assert signal.getsignal(signal.SIGINT) == before


def test_another_thread_leaves_it_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=Interrupts().begin)

    thread.start()
    thread.join()

    assert signal.getsignal(signal.SIGINT) == before


def test_other_signals_may_count_as_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    interrupts = Interrupts(signal.SIGTERM)
    interrupts.begin()
    try:
        with pytest.raises(KeyboardInterrupt), interrupts.held():
            signal.raise_signal(signal.SIGTERM)
    finally:
        interrupts.end()
    assert signal.getsignal(signal.SIGTERM) == before
