"""What is left of amqtt in a node, and each of its methods that is replaced, with the line and the reason.

amqtt keeps the life cycle of a broker, its configuration and its plugins: who may log in and who may subscribe is asked
of plugins by amqtt's own interface. Connections, sessions, routing and retained messages are the node's (decision 9).
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol, cast

from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig
from amqtt.errors import PluginError, PluginLoadError
from amqtt.plugins.base import BaseTopicPlugin
from amqtt.session import Session

from broker.auth.access import ROLE_ATTRIBUTE, AccessRules, Authentication, Topics
from broker.auth.users import Authenticator
from core.errors import BadSettingsError
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
        self,
        *,
        internal: Internal,
        authenticator: Authenticator,
        access: AccessRules,
        no_subscribe: list[str],
        plugins: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        """`plugins` are others than ours: import path -> configuration. Raises BadSettingsError where one is none."""
        self._internal = internal
        own = {
            f"{Authentication.__module__}.{Authentication.__name__}": {"authenticator": authenticator},
            f"{Topics.__module__}.{Topics.__name__}": {"access": access, "no_subscribe": no_subscribe},
        }
        # Named one by one: amqtt's defaults let everybody in (contexts.py 150). Ours win, and cannot be left out.
        config = {"listeners": {"default": {"type": "external"}}, "plugins": {**plugins, **own}}
        try:
            super().__init__(BrokerConfig.from_dict(config))
        except (PluginError, PluginLoadError) as error:
            # What some of them mean stands in what they come from alone.
            raise BadSettingsError(f"MQTT_PLUGINS: {str(error) or error.__cause__}") from error
        self.filters_publishing = any(
            isinstance(each, BaseTopicPlugin) and not isinstance(each, Topics) for each in self.plugins_manager.plugins
        )
        """Whether `may_publish` is to be asked at all: our own rules are known without it."""

    async def authenticate(self, *, client_id: str, user: str | None, password: bytes | None, peer: str) -> Role | None:
        """The role of a client; None if it is refused. Raises what the plugins raise.

        Instead of broker.py 807, which also asks amqtt's listeners.
        """
        session = PluginSession()
        session.client_id, session.username, session.remote_address = client_id, user, peer
        # Bytes, as they came: a password need not be text, and amqtt's plugins take either.
        session.password = cast("Any", password)
        answers = await self.plugins_manager.map_plugin_auth(session=session)
        # None is said by a plugin that leaves it to the others.
        known = [answer for answer in answers.values() if answer is not None]
        if not known or not all(known):
            return None
        return cast("Role", session.attributes.get(ROLE_ATTRIBUTE, Role.ANONYMOUS))

    async def may_subscribe(self, *, client_id: str, user: str, role: Role, topic_filter: str) -> bool:
        """Whether a client may subscribe. Instead of broker.py 863, which also keeps the subscription."""
        return await self._may(Action.SUBSCRIBE, client_id, user, role, topic_filter)

    async def may_publish(self, *, client_id: str, user: str, role: Role, topic: str) -> bool:
        """Whether a client may publish to a topic. Raises what the plugins raise."""
        return not self.filters_publishing or await self._may(Action.PUBLISH, client_id, user, role, topic)

    async def _may(self, action: Action, client_id: str, user: str, role: Role, topic: str) -> bool:
        session = PluginSession()
        session.client_id, session.username = client_id, user
        session.attributes[ROLE_ATTRIBUTE] = role
        answers = await self.plugins_manager.map_plugin_topic(session=session, topic=topic, action=action)
        return all(answer for answer in answers.values() if answer is not None)

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
