"""The retained messages, which all nodes share."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from broker.protocol.message import Message
from broker.protocol.topics import TopicTree, must_be_named
from core.kinds import Kinds, Role
from state.retained import RetainedStore

TOPICS_IN_A_ROW = 1000
"""How many topics are matched before others have their turn."""


def may_be_retained(topic: str, kinds: Kinds) -> bool:
    """Whether a message to a topic is retained if its publisher asks for that [MQTT-3.3.1-5].

    Positions never are, be it that they lie on the campus or not: they are no state of a topic, and nobody would ever
    remove them.
    """
    return kinds.ingest_kind(topic) is None


def is_state(message: Message) -> bool:
    """Whether a message replaces the ones before on its topic, also for who is away: what is retained below `v1`.

    What is published there at QoS 0 reaches those who are there, as anywhere else.
    """
    return message.retain and message.qos > 0 and must_be_named(message.topic)


def state_filters(filters: Mapping[str, int], role: Role) -> list[tuple[str, int]]:
    """Those of a client's topic filters, with their QoS, that states may come by to its queue."""
    return [
        (topic_filter, qos)
        for topic_filter, qos in filters.items()
        if qos and (must_be_named(topic_filter) or (role is Role.SERVICE and topic_filter[0] in "+#"))
    ]


class Retained:
    """Reads them. One read is under way at a time, and whoever asks meanwhile shares the next."""

    def __init__(self, store: RetainedStore) -> None:
        self._store = store
        self._wanted: set[str] = set()
        self._next: asyncio.Task[dict[str, list[Message]]] | None = None
        self._reading = asyncio.Lock()

    async def matching(self, filters: Sequence[str]) -> list[list[Message]]:
        """For each filter the messages whose topics match it, with `retain` set. Raises UnavailableError."""
        if not filters:
            return []
        self._wanted.update(filters)
        if self._next is None:
            self._next = asyncio.create_task(self._read())
        # Others wait for the same.
        found = await asyncio.shield(self._next)
        return [found[each] for each in filters]

    async def _read(self) -> dict[str, list[Message]]:
        async with self._reading:
            # Who asks from now on may want to see what was retained after this read began.
            wanted, self._wanted, self._next = self._wanted, set(), None
            topics = await self._topics(wanted)
            messages = await self._store.messages({topic for found in topics.values() for topic in found})
        return {each: [messages[topic] for topic in found if topic in messages] for each, found in topics.items()}

    async def _topics(self, wanted: Iterable[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {each: [each] for each in wanted}
        wild: TopicTree[str, None] = TopicTree()
        for each in found:
            if "+" in each or "#" in each:
                found[each] = []
                wild.set(each, each, None)
        if wild:
            for index, topic in enumerate(await self._store.topics(), 1):
                for each, _ in wild.match(topic):
                    found[each].append(topic)
                if index % TOPICS_IN_A_ROW == 0:
                    await asyncio.sleep(0)
        return found
