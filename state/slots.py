"""Where keys lie: which partition a device has, and the hash tags that keep what belongs together in one slot.

Redis Cluster spreads keys over 16,384 slots, and a script may only touch keys of one slot. Of a key with braces in it,
such as `raw:{0}`, what is between the braces decides. One Redis takes such names as any others.
"""

import zlib
from functools import lru_cache

from redis.crc import key_slot

SLOTS = 16384
MQTT = "{mqtt}"
"""The tag of what broker nodes share: sessions, routes, queues, retained messages, users."""
CAMPUS = "{campus}"
"""The tag of what there is once: the campus, coverage, API keys, who mirrors."""


def partition_of(name: str, partitions: int) -> int:
    """The partition, from 0, of a device by its id, or of a client that is none: the same in every process."""
    return zlib.crc32(name.encode(errors="surrogatepass")) % partitions


@lru_cache(maxsize=1024)
def tag(partition: int, partitions: int) -> str:
    """The hash tag of a partition, with its braces: `{0}` where there is one.

    Partitions lie in slots that are evenly spread, so that each master of a cluster has its share of them, whether
    there are as many masters as partitions or fewer: of P partitions each has a tag in its own P-th part of the slots.
    """
    first, end = SLOTS * partition // partitions, SLOTS * (partition + 1) // partitions
    number = 0
    while not first <= key_slot(str(number).encode()) < end:
        number += 1
    return f"{{{number}}}"


def guard(hash_tag: str) -> str:
    """The first key that every script names, and nobody ever writes.

    While Redis Cluster moves a slot to another master, a script that names a key which is not there, beside one that
    is, is answered TRYAGAIN, wherever it is sent. So no script runs on half a slot: it waits until all of it is there.
    """
    return f"never:{hash_tag}"
