"""Who a connection is of, and what goes out to it."""

from enum import Enum, auto

from broker.protocol import packets
from broker.protocol.message import Message
from broker.protocol.packets import Will
from broker.session.outbox import Outbox
from broker.session.stored_outbox import StoredOutbox
from broker.session.topic_rules import Topic
from broker.session.user_rate import UserRate
from core.kinds import Role

_NO_TOPICS: dict[bytes, Topic] = {}
"""Before a client is let in; nobody adds to it."""


class State(Enum):
    """Where a connection is in its life."""

    NEW = auto()
    """No CONNECT yet."""
    CONNECTING = auto()
    """It is being found out who that is."""
    OPEN = auto()
    CLOSING = auto()
    CLOSED = auto()


class Client:
    """What its CONNECT and its address say of it; all but `number`, `peer` and `address` is known once it is let in."""

    __slots__ = (
        "address",
        "clean",
        "client_id",
        "keepalive",
        "level",
        "number",
        "outbox",
        "owner",
        "partition",
        "peer",
        "rate",
        "received",
        "role",
        "state",
        "topics",
        "user",
        "will",
        "will_bytes",
    )

    def __init__(self, number: int) -> None:
        """`number` tells it from all others that this node has ever had."""
        self.number = number
        self.state = State.NEW
        self.peer = ""
        self.address = ""
        """What the peer counts as where addresses share something."""
        # The owner is as `broker.auth.owner` has it.
        self.client_id = self.user = self.owner = ""
        self.role = Role.ANONYMOUS
        self.level = packets.MQTT_3_1_1
        self.keepalive = 0.0
        """Seconds of silence after which the connection ends; 0 for ever."""
        self.clean = True
        self.will: Will | None = None
        self.will_bytes = 0
        """What its will counts, whether it is still to be published or not."""
        self.partition = 0
        """Where its positions go."""
        self.topics = _NO_TOPICS
        """What is known of the topic names that its role has published to."""
        self.rate: UserRate | None = None
        """What it shares with all connections of its user."""
        self.received: set[int] | None = None
        """Packet identifiers of QoS 2 messages that are stored, until their PUBREL [MQTT-4.3.3-2]."""
        self.outbox: Outbox | StoredOutbox | None = None

    @property
    def person(self) -> str:
        """Whose version of an application it gets: the user's, else the client identifier's."""
        return self.user or self.client_id

    @property
    def waiting_out(self) -> int:
        """Bytes of messages that wait in memory for this client."""
        return 0 if self.outbox is None else self.outbox.waiting

    @property
    def under_way(self) -> int:
        """Messages that this client has not acknowledged."""
        return 0 if self.outbox is None else self.outbox.unacknowledged

    def deliver(self, message: Message, qos: int, packet: bytes | None) -> None:
        """A message for this client, with the lower of its QoS and the one granted; at QoS 0 also encoded."""
        if self.state is State.OPEN and self.outbox is not None:
            self.outbox.send(message, qos, packet)

    def wake(self) -> None:
        """There is something in this session's queue."""
        if self.state is State.OPEN and self.outbox is not None:
            self.outbox.wake()
