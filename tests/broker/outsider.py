"""An amqtt plugin as somebody writes it who knows amqtt's pages, and nothing of this broker."""

import asyncio
from dataclasses import dataclass

from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session


class Badge(BaseAuthPlugin, BaseTopicPlugin):
    """Only clients whose identifier begins with a prefix come in, and each publishes below its own name."""

    @dataclass
    class Config:
        prefix: str

    async def authenticate(self, *, session: Session) -> bool | None:
        await asyncio.sleep(0)
        return bool(session.client_id and session.client_id.startswith(self.config.prefix))

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        await asyncio.sleep(0)
        if action is not Action.PUBLISH or session is None or topic is None:
            return None
        return topic.startswith(f"own/{session.client_id}/")
