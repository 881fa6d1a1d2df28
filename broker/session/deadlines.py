"""When a connection has to end for what it does not do."""

from collections.abc import Callable, Mapping

from broker.protocol.reasons import Refusal
from broker.session.client import State
from broker.session.connection import Connection
from runtime.service import Stop, pause

SWEEP_SECONDS = 0.25


class Deadlines:
    """Those of all connections of a node: they are looked at a few times a second."""

    def __init__(
        self,
        *,
        connections: Mapping[int, Connection],
        problem: Callable[[], str | None],
        now: Callable[[], float],
    ) -> None:
        """`problem` answers why Redis takes nothing at present, None when it does; `now` is the event loop's clock."""
        self._connections = connections
        self._problem = problem
        self._now = now

    async def run(self, stop: Stop) -> None:
        """Look, until `stop`."""
        while not stop.is_set():
            await pause(SWEEP_SECONDS, stop)
            now = self._now()
            for connection in list(self._connections.values()):
                self._look_at(connection, now)

    def _look_at(self, connection: Connection, now: float) -> None:
        if connection.state is State.OPEN:
            if late := overdue(connection, now):
                connection.abort(*late)
            elif self._problem():
                # Those that were stopped for what they sent at QoS 0 alone may go on.
                connection.read_on()
        elif connection.deadline is not None and now > connection.deadline:
            if connection.state is State.NEW:
                connection.abort(Refusal.CONNECT_TIMEOUT, "no CONNECT in time")
            elif connection.state is State.CLOSING:
                connection.abort()


def overdue(connection: Connection, now: float) -> tuple[Refusal, str] | None:
    """Why an open connection has to end by now, as `abort` wants it; None as long as it may stay."""
    if _is_silent(connection, now):
        return Refusal.KEEPALIVE, "silent for one and a half times its keepalive"
    if _is_stalled(connection, now):
        return Refusal.SLOW_CONSUMER, "takes nothing of what it is sent"
    if _is_unfinished(connection, now):
        return Refusal.UNFINISHED, "a packet was not complete within MQTT_PACKET_TIMEOUT"
    return None


def _is_silent(connection: Connection, now: float) -> bool:
    """Whether it has been silent for one and a half times its keepalive [MQTT-3.1.2-24], and was listened to."""
    keepalive = connection.keepalive
    return bool(keepalive) and now - connection.seen > keepalive and connection.is_listened_to


def _is_stalled(connection: Connection, now: float) -> bool:
    """Whether it takes nothing of what waits for it: for as long as it may be silent, or for MQTT_WRITE_TIMEOUT.

    It is not read meanwhile, and cannot say that it is alive; that it takes something says it.
    """
    limit = connection.node.settings.mqtt_write_timeout
    return connection.untaken_for(now) > (min(connection.keepalive, limit) if connection.keepalive else limit)


def _is_unfinished(connection: Connection, now: float) -> bool:
    """Whether a packet has taken longer than MQTT_PACKET_TIMEOUT, in which the connection was read."""
    late = now - connection.incoming.since > connection.node.settings.mqtt_packet_timeout
    return late and bool(connection.incoming) and connection.is_listened_to
