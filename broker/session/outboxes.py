"""What goes out to the clients of a node: an outbox for each that has subscribed, or has a session that is kept."""

from broker.cluster.retained import state_filters
from broker.cluster.sessions import ALL_VERSIONS, Choice, Sessions
from broker.metrics import BrokerMetrics
from broker.protocol.reasons import Refusal
from broker.routing.app_versions import AppVersions, wire_filters
from broker.routing.subscriptions import Subscriptions
from broker.session.connection import Connection
from broker.session.outbox import Outbox
from broker.session.stored_outbox import StoredOutbox
from broker.settings import BrokerSettings


class Outboxes:
    """Opens them."""

    def __init__(
        self,
        *,
        settings: BrokerSettings,
        sessions: Sessions,
        subscriptions: Subscriptions,
        app_versions: AppVersions,
        metrics: BrokerMetrics,
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._subscriptions = subscriptions
        self._app_versions = app_versions
        self._metrics = metrics

    def of(self, connection: Connection) -> Outbox | StoredOutbox:
        """The outbox of a client; one in memory where it has none yet."""
        if connection.outbox is None:
            connection.outbox = self._memory(connection)
        return connection.outbox

    def open_stored(self, connection: Connection, released: list[int]) -> None:
        """Send a persistent session's queue; `released` are the sequence numbers that PUBREL is to be repeated for."""
        outbox = StoredOutbox(
            memory=self._memory(connection),
            sessions=self._sessions,
            client_id=connection.client_id,
            connection=connection.number,
            window=self._settings.mqtt_max_unacknowledged,
            write=connection.write,
            counts=self._metrics.sent,
            superseded=lambda: connection.end(Refusal.SUPERSEDED),
            failed=lambda: connection.end(Refusal.DEFECT),
            after=connection.answers.after,
            states=lambda: state_filters(self._subscriptions.filters_of(connection), connection.role),
            choice=lambda: self._choice(connection),
            shown_as=lambda topic: self._subscriptions.shown_as(connection, topic),
        )
        if connection.write_paused:
            outbox.pause()
        connection.outbox = outbox
        outbox.begin(released)

    def _choice(self, connection: Connection) -> Choice:
        versions = self._app_versions.chosen(connection.person, connection.role)
        if not versions:
            return ALL_VERSIONS
        return Choice(versions, wire_filters(self._subscriptions.filters_of(connection), connection.role))

    def _memory(self, connection: Connection) -> Outbox:
        """An outbox that ends the connection of a client that is too slow for it."""
        outbox = Outbox(
            write=connection.write,
            window=self._settings.mqtt_max_unacknowledged,
            max_bytes=self._settings.mqtt_slow_consumer_bytes,
            overflow=lambda: connection.abort(Refusal.SLOW_CONSUMER, "reads too slowly for what it has subscribed to"),
            counts=self._metrics.sent,
        )
        if connection.write_paused:
            outbox.pause()
        return outbox
