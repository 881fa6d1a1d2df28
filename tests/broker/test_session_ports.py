"""A connection asks its node for everything by ports: here is a node that is none."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from broker.metrics import BrokerMetrics
from broker.protocol.reasons import Refusal
from broker.session.client import State
from broker.session.connection import Connection
from broker.session.log_names import LogNames
from broker.session.refusals import Refusals
from broker.settings import BrokerSettings
from broker.tasks import Tasks
from core.kinds import DEFAULT_KINDS
from tests.broker.conftest import has
from tests.broker.fake_transport import FakeTransport
from tests.conftest import eventually


@dataclass
class Registry:
    """Keeps what a connection tells it."""

    has_room: bool = True
    held: list[int] = field(default_factory=list)
    removed: list[bool] = field(default_factory=list)

    def register(self, connection: Connection) -> bool:
        del connection
        return self.has_room

    def hold_unfinished(self, connection: Connection, size: int) -> None:
        del connection
        self.held.append(size)

    def remove(self, connection: Connection, *, was_open: bool) -> None:
        del connection
        self.removed.append(was_open)


@dataclass
class Reader:
    """Takes whole packets, and keeps them."""

    read_packets: list[tuple[int, bytes]] = field(default_factory=list)
    errors: list[BaseException | None] = field(default_factory=list)

    def read(self, connection: Connection) -> None:
        self.read_packets += connection.incoming.take(1000, connection.node.now())

    def go_on(self, connection: Connection, error: BaseException | None) -> None:
        del connection
        self.errors.append(error)


@dataclass
class FakeNode:
    """What `broker.session.ports.Node` asks for."""

    time: float = 100.0
    problem: str | None = None
    settings: BrokerSettings = field(default_factory=lambda: BrokerSettings(broker_node="none"))
    metrics: BrokerMetrics = field(default_factory=lambda: BrokerMetrics(DEFAULT_KINDS))
    registry: Registry = field(default_factory=Registry)
    reader: Reader = field(default_factory=Reader)
    tasks: Tasks = field(default_factory=lambda: Tasks(lambda: None))

    def __post_init__(self) -> None:
        self.now: Callable[[], float] = lambda: self.time
        self.refusals = Refusals(metrics=self.metrics, max_payload=100, now=self.now, names=LogNames())

    def refused(self, reason: str) -> float:
        return self.metrics.registry.get_sample_value("broker_refused_total", {"reason": reason}) or 0.0


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
def connection(node: FakeNode, transport: FakeTransport) -> Iterator[Connection]:
    made = Connection(node, 1)
    made.connection_made(transport)
    yield made
    made.connection_lost(None)


def test_a_connection_that_there_is_no_room_for_ends_at_once(node: FakeNode, transport: FakeTransport) -> None:
    node.registry.has_room = False
    Connection(node, 1).connection_made(transport)
    assert transport.aborted


def test_what_is_not_whole_is_held_and_the_node_knows_how_much(connection: Connection, node: FakeNode) -> None:
    connection.data_received(b"\xc0\0\x30\x05ab")
    assert node.reader.read_packets == [(0xC0, b"")]
    assert node.registry.held == [4]
    connection.data_received(b"cde")
    assert node.reader.read_packets == [(0xC0, b""), (0x30, b"abcde")]
    assert node.registry.held == [4, 0]
    assert node.metrics.bytes_in == 9


def test_bytes_are_read_again_once_what_waits_for_redis_is_kept(
    connection: Connection, transport: FakeTransport
) -> None:
    promise = connection.answers.promise(b"answer", parts=1, size=300_000)
    before = transport.paused
    connection.answers.keep(promise)
    assert (before, transport.paused) == (True, False)
    assert transport.taken() == b"answer"


def test_a_user_who_is_too_fast_is_not_read_until_the_rate_allows_it(
    connection: Connection, node: FakeNode, transport: FakeTransport
) -> None:
    connection.throttle()
    connection.data_received(b"\xc0\0")
    assert node.reader.read_packets == []
    assert transport.paused
    connection.go_on()
    assert node.reader.errors == [None]


async def test_what_takes_its_time_hands_its_error_to_the_reader(connection: Connection, node: FakeNode) -> None:
    error = ValueError("a defect")

    async def work() -> None:
        raise error

    connection.take_time(work())
    assert connection.busy
    await eventually(lambda: has(lambda: not connection.busy))
    assert node.reader.errors == [error]


def test_an_end_is_counted_by_its_reason_and_once(
    connection: Connection, node: FakeNode, transport: FakeTransport
) -> None:
    connection.state = State.OPEN
    connection.end(Refusal.PROTOCOL, "a clause")
    connection.end(Refusal.PROTOCOL, "a clause")
    assert transport.closed
    assert node.refused("protocol") == 1


def test_a_connection_that_is_to_finish_waits_for_its_answers(connection: Connection, transport: FakeTransport) -> None:
    connection.state = State.OPEN
    promise = connection.answers.promise(b"last", parts=1)
    connection.finish()
    before = transport.closed
    connection.answers.keep(promise)
    assert (before, transport.closed) == (False, True)
    assert transport.taken() == b"last"


@pytest.mark.parametrize(
    ("client_id", "state", "was_open"), [("", "NEW", False), ("a", "CONNECTING", False), ("a", "OPEN", True)]
)
def test_the_node_hears_whether_a_client_had_been_let_in(
    node: FakeNode, transport: FakeTransport, client_id: str, state: str, was_open: object
) -> None:
    connection = Connection(node, 1)
    connection.connection_made(transport)
    connection.client_id, connection.state = client_id, State[state]
    connection.connection_lost(None)
    assert node.registry.removed == [was_open]
