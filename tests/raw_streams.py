"""The raw streams as brokers and decoders use them, for tests."""

from typing import Any, cast

from redis.asyncio import Redis

from core.messages import DeadLetter, RawMessage
from state.dead_letters import DeadLetters
from state.durability import Writes
from state.entries import decode_entry, encode_entries, group_of
from state.raw import Raw, keys_of


def raw_key(partition: int, partitions: int) -> str:
    """The raw stream of a partition."""
    return keys_of(partition, partitions).raw


async def append(
    client: Redis, *messages: RawMessage, partition: int = 0, partitions: int = 1, writes: Writes | None = None
) -> None:
    """As a broker does with what comes in together: in as few entries as it takes."""
    raw = Raw(client=client, partitions=partitions, writes=writes)
    await raw.append(partition, encode_entries(map(group_of, messages)), most=2**53)


async def append_each(client: Redis, *messages: RawMessage, partition: int = 0, partitions: int = 1) -> None:
    """As a broker does with what comes in one by one: an entry each."""
    raw = Raw(client=client, partitions=partitions)
    entries = [entry for message in messages for entry in encode_entries([group_of(message)])]
    await raw.append(partition, entries, most=2**53)


async def raw_messages(client: Redis, partition: int = 0, partitions: int = 1) -> list[RawMessage]:
    """What is in a raw stream."""
    found = cast("Any", await client.xrange(raw_key(partition, partitions)))
    return [message for _, fields in found for message in decode_entry(fields)]


async def add_dead_letters(client: Redis, *letters: DeadLetter, maximum: int = 1000) -> None:
    """Keep dead letters of the first partition."""
    await DeadLetters(client, partitions=1).add(letters, maximum, partition=0)
