"""The wills of a node's clients: who may have one, and what becomes of it."""

from broker.auth.owner import owner_of
from broker.metrics import BrokerMetrics
from broker.protocol.packets import Connect, RefusedConnectError, Will
from broker.protocol.reasons import ConnectCode, Drop, Refusal
from broker.routing.router import Router
from broker.session.client import Client
from broker.session.topic_rules import TopicRules, WillRule
from broker.settings import BrokerSettings
from broker.shares import Shares
from core.kinds import Role

WILL_BYTES = 64
"""What a will counts besides its topic and its payload."""


def _size(will: Will | None) -> int:
    return len(will.topic.encode()) + len(will.payload) + WILL_BYTES if will else 0


class Wills:
    """Those of all clients that are let in."""

    def __init__(
        self, *, settings: BrokerSettings, topic_rules: TopicRules, router: Router, metrics: BrokerMetrics
    ) -> None:
        self._settings = settings
        self._topic_rules = topic_rules
        self._router = router
        self._metrics = metrics
        self._shares = Shares(each=settings.mqtt_user_will_bytes, most=settings.mqtt_will_bytes)

    def check(self, client: Client, request: Connect, role: Role, older: Client | None) -> Will | None:
        """The will that a client is to have; one for positions is left out, and the client let in.

        Raises RefusedConnectError for a will that may not be; `older` is the connection that is about to end.
        """
        settings, will = self._settings, request.will
        if will is None:
            return None
        rule = self._topic_rules.will(role, will.topic)
        if rule is WillRule.REFUSE:
            raise RefusedConnectError(
                ConnectCode.NOT_AUTHORIZED, "a will for a topic that this client may not have one for"
            )
        if len(will.payload) > settings.mqtt_max_payload:
            limit = f"MQTT_MAX_PAYLOAD={settings.mqtt_max_payload}"
            raise RefusedConnectError(
                ConnectCode.NOT_AUTHORIZED, f"a will of {len(will.payload)} bytes is over {limit}"
            )
        if rule is WillRule.LEAVE_OUT:
            self._metrics.dropped.labels(Drop.WILL.value).inc()
            return None
        owner = owner_of(request.user or "", client.peer)
        own = _size(will) - (older.will_bytes if older is not None and older.owner == owner else 0)
        if not self._shares.has_room(owner, own):
            raise RefusedConnectError(
                ConnectCode.UNAVAILABLE,
                f"no room for its will: MQTT_USER_WILL_BYTES={settings.mqtt_user_will_bytes}, "
                f"MQTT_WILL_BYTES={settings.mqtt_will_bytes}",
                reason=Refusal.TOO_MANY_WILLS,
            )
        return will

    def hold(self, client: Client, will: Will | None) -> None:
        """A client is let in with this will."""
        client.will, client.will_bytes = will, _size(will)
        self._shares.change(client.owner, client.will_bytes)

    def release(self, client: Client) -> None:
        """A client has gone: what its will counted is free."""
        self._shares.change(client.owner, -client.will_bytes)

    async def publish(self, client: Client) -> None:
        """Publish the will of a client that has gone without saying so."""
        if client.will is not None:
            await self._router.publish_will(client.number)
