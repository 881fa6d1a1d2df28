"""Which connections a node has, how many of them may be of one address, and what all of them hold unfinished."""

from collections import Counter
from collections.abc import Callable

from broker.protocol.reasons import Refusal
from broker.session.connection import Connection
from broker.session.refusals import Refusals
from broker.session.unfinished import Unfinished
from broker.settings import BrokerSettings


class ConnectionRegistry:
    """The connections of one node, from the moment they come until they are over."""

    def __init__(
        self,
        *,
        settings: BrokerSettings,
        connections: dict[int, Connection],
        refusals: Refusals,
        left: Callable[[Connection], None],
        ended: Callable[[], None],
    ) -> None:
        """`connections` are kept up to date, by number.

        `left` is called with a connection that is over, whose client had been let in; and `ended` after each.
        """
        self._settings = settings
        self._connections = connections
        self._refusals = refusals
        self._left = left
        self._ended = ended
        self._addresses: Counter[str] = Counter()
        self._unfinished: Unfinished[Connection] = Unfinished(settings.mqtt_unfinished_bytes)

    @property
    def unfinished(self) -> int:
        """Bytes of packets that cannot be handled yet."""
        return self._unfinished.total

    def register(self, connection: Connection) -> bool:
        """Count a connection that has just come; False where there is no room for it."""
        most = self._settings.broker_max_connections
        if len(self._connections) >= most:
            self._refusals.refuse(Refusal.TOO_MANY_CONNECTIONS, f"BROKER_MAX_CONNECTIONS={most}", connection)
            return False
        share = self._settings.broker_address_share
        if self._addresses[connection.address] >= max(1, int(most * share)):
            self._refusals.refuse(
                Refusal.TOO_MANY_OF_ONE_ADDRESS, f"BROKER_ADDRESS_SHARE={share} of {most}", connection
            )
            return False
        self._connections[connection.number] = connection
        self._addresses[connection.address] += 1
        return True

    def hold_unfinished(self, connection: Connection, size: int) -> None:
        """A connection holds so many bytes of packets that cannot be handled yet; somebody may have to go for that."""
        for each in self._unfinished.hold(connection, size):
            limit = self._settings.mqtt_unfinished_bytes
            each.abort(Refusal.UNFINISHED, f"holds most of more than MQTT_UNFINISHED_BYTES={limit}")

    def remove(self, connection: Connection, *, was_open: bool) -> None:
        """A connection is over; `was_open` is whether a client had been let in."""
        if self._connections.pop(connection.number, None) is not None:
            self._addresses[connection.address] -= 1
            if not self._addresses[connection.address]:
                del self._addresses[connection.address]
        if was_open:
            self._left(connection)
        self._ended()
