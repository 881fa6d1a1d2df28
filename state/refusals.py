"""Telling services and devices what was refused of what devices sent: which topics there are for that, and the script.

It goes into the inboxes of those nodes where somebody has subscribed (`state.nodes`), as a message of QoS 0: so it
waits in no queue, and is retained nowhere.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import msgspec

from core.kinds import DEVICES, KindId
from state.access import Right, access
from state.client import Redis
from state.mqtt import Scripts
from state.nodes import NODES
from state.queued import Message

ACCESS = {
    Right.TELL: [
        access("nodes:{mqtt}", "EVAL HGETALL HGET"),
        access("interest:{mqtt}:", "SMISMEMBER"),
        access("node:{mqtt}:", "HMGET HSET"),
        access("inbox:{mqtt}:", "XADD XINFO|STREAM TYPE"),
        access("node:{mqtt}: inbox:{mqtt}: aside:node:{mqtt}: aside:inbox:{mqtt}:", "RENAME PEXPIRE"),
        access("carried:{mqtt}", "INCR SET"),
        access("", "TIME"),
    ]
}
REFUSED = "$SYS/broker/refused"
"""Below it what was refused of all devices, by kind: for services."""
AT_ONCE = 100
"""Messages of one script: record 36 has how long that keeps Redis."""
INBOX_MAX_BYTES = 1024 * 1024
"""What may wait in an inbox, of whatever kind: beyond it refusals are dropped. Other messages have more room there
(INBOX_MAX_BYTES of the brokers' settings), so that refusals never take it."""
_NOT_IN_A_LEVEL = frozenset("/+#")

_encoder = msgspec.msgpack.Encoder()


def topic_of_kind(kind: KindId) -> str:
    """Where services hear of what was refused of the devices of a kind."""
    return f"{REFUSED}/{kind}"


def own_topic(user: str) -> str | None:
    """Where a device hears of what was refused of its own: of the user with this name.

    None where there is no user, and where its name is more than one level, or a wildcard.
    """
    return f"{DEVICES}/{user}/refused" if user and _NOT_IN_A_LEVEL.isdisjoint(user) else None


class Refusals:
    """Tells of what was refused, whoever decodes."""

    def __init__(self, client: Redis) -> None:
        self._scripts = Scripts(client)

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> int:
        """Have nodes tell those who have subscribed: topics, each with a payload; 100 at the most.

        Answers how many messages inboxes had no room for. Raises UnavailableError: it may be done then or not, and who
        does it again may tell twice.
        """
        numbers: dict[str, list[int]] = {}
        for number, (topic, _) in enumerate(messages, 1):
            numbers.setdefault(topic, []).append(number)
        about = _encoder.encode({"inbox_max": INBOX_MAX_BYTES, "groups": list(_groups(numbers))})
        blobs = [_encoder.encode(Message(topic, payload, 0)) for topic, payload in messages]
        return int(await self._scripts.run("announce", [NODES], about, *blobs))


def _groups(numbers: dict[str, list[int]]) -> Iterator[tuple[list[str], list[tuple[list[str], list[int]]]]]:
    """Topics with the numbers of their messages: those of devices share most filters, which are looked up once."""
    shared = set(filters_of(own_topic("a") or "")) & set(filters_of(own_topic("b") or ""))
    of_devices = []
    for topic, its in numbers.items():
        filters = list(filters_of(topic))
        if shared.issubset(filters):
            of_devices.append(([each for each in filters if each not in shared], its))
        else:
            yield filters, [([], its)]
    if of_devices:
        yield list(shared), of_devices


def filters_of(topic: str) -> Iterator[str]:
    """Each topic filter that is true of a topic name (MQTT 3.1.1, 4.7): twice as many with each level more."""
    levels = topic.split("/")
    # [MQTT-4.7.2-1]: what begins with $ is reached by no filter that begins with a wildcard.
    choices = [(level,) if index == 0 and level.startswith("$") else (level, "+") for index, level in enumerate(levels)]
    for size in range(len(levels) + 1):
        for chosen in product(*choices[:size]):
            if size == len(levels):
                yield "/".join(chosen)
            if size or not topic.startswith("$"):
                yield "/".join((*chosen, "#"))
