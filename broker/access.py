"""Who may come in, and who may read and write what: plugins of amqtt."""

from dataclasses import dataclass

from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from core.messages import INGEST_TOPICS

_MIRROR = "v1"


class Authentication(BaseAuthPlugin):
    """Lets clients in without a user where that is allowed, and nobody otherwise: there are no users yet."""

    @dataclass
    class Config:
        """What amqtt hands to the plugin."""

        allow_anonymous: bool = False

    async def authenticate(self, *, session: Session) -> bool:
        """Whether this client may connect. What it says of itself is not believed: it stays anonymous."""
        session.is_anonymous = True
        return bool(getattr(self.context.config, "allow_anonymous", False))


class Topics(BaseTopicPlugin):
    """Keeps positions from being read over MQTT, and the mirror of the REST resources from being written."""

    @dataclass
    class Config:
        """Nothing to choose."""

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,  # noqa: ARG002 - part of amqtt's interface
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool:
        """Whether a client may publish to a topic, subscribe to a filter, or receive from a topic."""
        first = (topic or "").partition("/")[0]
        if action == Action.PUBLISH:
            return first != _MIRROR
        return first not in INGEST_TOPICS
