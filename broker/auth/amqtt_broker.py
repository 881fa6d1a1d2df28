"""What is left of amqtt in a node, and each of its methods that is replaced, with the line and the reason.

amqtt keeps the life cycle of a broker, its configuration and its plugins: who may log in and who may subscribe is asked
of plugins by amqtt's own interface. Connections, sessions, routing and retained messages are the node's (decision 9).
"""

import asyncio
from typing import Any, Protocol, cast

from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig
from amqtt.session import Session

from broker.auth.access import ROLE_ATTRIBUTE, AccessRules, Authentication, Topics
from broker.auth.users import Authenticator
from core.kinds import Role


class PluginSession(Session):
    """The session that plugins see. amqtt's own has a state machine of 24 KB (session.py 173) that nobody asks."""

    def _init_states(self) -> None:
        """Replaces session.py 173."""


class Internal(Protocol):
    """What plugins may ask of the node."""

    async def publish_internally(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Publish on behalf of the node itself."""


class AmqttBroker(Broker):
    """amqtt's broker without its network, its sessions and its routing."""

    def __init__(
        self, *, internal: Internal, authenticator: Authenticator, access: AccessRules, no_subscribe: list[str]
    ) -> None:
        self._internal = internal
        super().__init__(
            BrokerConfig.from_dict(
                {
                    "listeners": {"default": {"type": "external"}},
                    # Named one by one: amqtt's defaults let everybody in (contexts.py 150).
                    "plugins": {
                        f"{Authentication.__module__}.{Authentication.__name__}": {"authenticator": authenticator},
                        f"{Topics.__module__}.{Topics.__name__}": {"access": access, "no_subscribe": no_subscribe},
                    },
                }
            )
        )

    async def authenticate(self, *, client_id: str, user: str | None, password: bytes | None, peer: str) -> Role | None:
        """The role of a client; None if it is refused. Raises what the plugins raise.

        Instead of broker.py 807, which also asks amqtt's listeners.
        """
        session = PluginSession()
        session.client_id, session.username, session.remote_address = client_id, user, peer
        # Bytes, as they came: a password need not be text, and amqtt's plugins take either.
        session.password = cast("Any", password)
        answers = await self.plugins_manager.map_plugin_auth(session=session)
        if not answers or not all(answers.values()):
            return None
        return cast("Role", session.attributes.get(ROLE_ATTRIBUTE, Role.ANONYMOUS))

    async def may_subscribe(self, *, client_id: str, user: str, role: Role, topic_filter: str) -> bool:
        """Whether a client may subscribe. Instead of broker.py 863, which also keeps the subscription."""
        session = PluginSession()
        session.client_id, session.username = client_id, user
        session.attributes[ROLE_ATTRIBUTE] = role
        answers = await self.plugins_manager.map_plugin_topic(
            session=session, topic=topic_filter, action=Action.SUBSCRIBE
        )
        return all(answers.values())

    async def _session_monitor(self) -> None:
        """Replaces broker.py 356: sessions are in Redis, and expire there."""
        await asyncio.Event().wait()

    async def _broadcast_loop(self) -> None:
        """Replaces broker.py 959: nothing is ever in amqtt's queue."""
        await self._broadcast_shutdown_waiter

    async def _broadcast_message(
        self,
        session: Session | None,  # noqa: ARG002 - part of amqtt's interface
        topic: str | None,
        data: bytes | bytearray | None,
        force_qos: int | None = None,
    ) -> None:
        """Replaces broker.py 1104, which reaches the clients of one node: what a plugin publishes."""
        await self._internal.publish_internally(topic or "", bytes(data or b""), qos=force_qos or 0, retain=False)

    async def retain_message(
        self,
        source_session: Session | None,  # noqa: ARG002 - part of amqtt's interface
        topic_name: str | None,
        data: bytes | bytearray | None,
        qos: int | None = None,
    ) -> None:
        """Replaces broker.py 834, which retains in one node's memory: what a plugin retains."""
        await self._internal.publish_internally(topic_name or "", bytes(data or b""), qos=qos or 0, retain=True)
