"""Answers go out in the order of their requests, and not before what they acknowledge is kept."""

from dataclasses import dataclass, field

import pytest

from broker.metrics import BrokerMetrics
from broker.protocol.reasons import Refusal
from broker.session.acknowledgements import PendingAnswers
from broker.tasks import Tasks
from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from tests.broker.conftest import has
from tests.conftest import eventually


@dataclass
class Sender:
    """A connection that keeps what is asked of it."""

    written: list[bytes] = field(default_factory=list)
    ended: str = ""
    calls: list[str] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def end(self, reason: Refusal | None, detail: str = "") -> None:
        self.ended = f"{reason}{detail}"

    def read_no_more(self) -> None:
        self.calls.append("no more")

    def read_on(self) -> None:
        self.calls.append("on")


@dataclass
class Keeper:
    """A node, as answers know it."""

    problem: str | None = None
    metrics: BrokerMetrics = field(default_factory=lambda: BrokerMetrics(DEFAULT_KINDS))
    tasks: Tasks = field(default_factory=lambda: Tasks(lambda: None))


@pytest.fixture
def sender() -> Sender:
    return Sender()


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def answers(sender: Sender, keeper: Keeper) -> PendingAnswers:
    return PendingAnswers(sender, keeper)


def test_an_answer_that_waits_for_nothing_goes_out_at_once(answers: PendingAnswers, sender: Sender) -> None:
    answers.promise(b"1")
    answers.promise(b"")
    assert sender.written == [b"1"]
    assert not answers


def test_whatever_is_kept_first_the_answers_keep_their_order(answers: PendingAnswers, sender: Sender) -> None:
    first, second = answers.promise(b"1", parts=2), answers.promise(b"2", parts=1)
    answers.promise(b"3")
    answers.keep(second)
    answers.keep(first)
    assert sender.written == []
    answers.keep(first)
    assert sender.written == [b"123"]
    assert not answers


def test_what_waits_is_counted_until_it_is_kept(answers: PendingAnswers, keeper: Keeper) -> None:
    promise = answers.promise(b"1234", parts=1, size=1000, loose=300)
    assert answers.waiting_bytes == 1428
    assert keeper.metrics.qos_0_waiting == 300
    answers.keep(promise)
    assert answers.waiting_bytes == 0
    assert keeper.metrics.qos_0_waiting == 0


def test_whoever_has_too_much_waiting_is_not_read(answers: PendingAnswers, sender: Sender) -> None:
    promise = answers.promise(b"1", parts=1, size=262_016)
    assert sender.calls == []
    answers.promise(b"2", parts=1)
    assert sender.calls == ["no more"]
    answers.keep(promise)
    assert sender.calls == ["no more", "on"]


def test_while_nothing_can_be_kept_messages_of_qos_0_stop_nobody(
    answers: PendingAnswers, sender: Sender, keeper: Keeper
) -> None:
    keeper.problem = "Redis is away"
    answers.promise(b"", parts=1, loose=1_000_000)
    assert sender.calls == []
    keeper.problem = None
    assert answers.waiting_bytes == 1_000_000


async def test_an_answer_goes_out_after_work_that_is_tried_until_it_is_done(
    answers: PendingAnswers, sender: Sender, keeper: Keeper
) -> None:
    tried = []

    async def work() -> None:
        tried.append(list(sender.written))
        if len(tried) == 1:
            raise UnavailableError("Redis is away")

    answers.after(b"1", work)
    answers.promise(b"2")
    await eventually(lambda: has(lambda: not keeper.tasks))
    assert tried == [[], []]
    assert sender.written == [b"12"]


async def test_work_that_meets_a_defect_ends_its_connection(
    answers: PendingAnswers, sender: Sender, keeper: Keeper
) -> None:
    async def work() -> None:
        raise ValueError("a defect")

    answers.after(b"1", work)
    await eventually(lambda: has(lambda: not keeper.tasks))
    assert sender.ended == "defect"
    assert sender.written == []
