"""Connections that write commands with hiredis, as redis-py's own do that are not asynchronous.

A script of the stage observe names two thousand keys: redis-py writes each as several pieces of Python, hiredis all of
them at once, also where they are `str`.
"""

from functools import cache
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection


@cache
def packing(connection: type[AbstractConnection]) -> type[AbstractConnection]:
    """The same kind of connection, and its commands are written by hiredis."""
    return type(connection.__name__, (_Packing, connection), {})


class _Packing(AbstractConnection):
    def pack_command(self, *args: Any) -> list[bytes]:
        """A command as Redis reads it, in one piece; its name may be several words."""
        name, *words = args
        try:
            return [hiredis.pack_command((*name.split(), *words))]
        except TypeError:
            # What hiredis does not know, such as a bytearray; or it is a defect, of which redis-py says what it is.
            return super().pack_command(*args)
