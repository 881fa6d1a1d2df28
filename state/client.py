"""The connection to Redis, for every service and command. What its errors mean is in `state.codes`.

Which forms REDIS_URL has is in `state.address`; what each call promises in `state.calls`; Sentinel and Redis Cluster
are in files of their names.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection

from core.errors import BadSettingsError
from runtime.settings import CommonSettings
from state.address import Address, Form, parse_address
from state.calls import MAX_CONNECTIONS, READ_TIMEOUT_SECONDS, Client, Pool, Redis, connection_options
from state.cluster import ClusterClient
from state.looking_up import looking_up
from state.packing import packing
from state.raw_redis import keep_raw_in
from state.sentinel import sentinel_pool
from state.slot_map import SlotMap

__all__ = ["MAX_CONNECTIONS", "READ_TIMEOUT_SECONDS", "Redis", "open_redis"]


@asynccontextmanager
async def open_redis(settings: CommonSettings, user: str = "") -> AsyncIterator[Redis]:
    """Connections to REDIS_URL, whatever its form; answers are bytes. Opening does not wait for Redis.

    With RAW_REDIS_URL also to that (`state.raw_redis`). Where DATA_DIR has the socket and passwords of a laptop run,
    `user` is who logs in there.
    Every call of it raises UnavailableError where Redis does not answer or says "not now" (`state.codes`).
    Raises BadSettingsError for an address that is none.
    """
    clients = [client_of(parse_address(settings.redis_address_of(user), settings.redis_ca))]
    if settings.raw_redis_url:
        try:
            clients.append(client_of(parse_address(settings.raw_redis_url, settings.redis_ca)))
        except BadSettingsError as error:
            raise BadSettingsError(str(error).replace("REDIS_URL", "RAW_REDIS_URL", 1)) from error
        keep_raw_in(*clients)
    try:
        yield clients[0]
    finally:
        for client in clients:
            await client.aclose()


def client_of(address: Address) -> Redis:
    """Connections to what an address leads to; whoever opens them closes them."""
    options: dict[str, Any] = {
        "timeout": READ_TIMEOUT_SECONDS,
        "max_connections": MAX_CONNECTIONS,
        **connection_options(),
        **address.options,
    }
    plain = looking_up(SSLConnection if address.encrypted else Connection)
    tcp = packing(plain)  # type: ignore[arg-type]  # mypy takes the hash of an instance for that of its class

    def server(host: str, port: int) -> Pool:
        return Pool(connection_class=tcp, host=host, port=port, **options)

    if address.form is Form.CLUSTER:
        return ClusterClient(SlotMap(seeds=address.hosts, pool=server))
    if address.form is Form.SENTINEL:
        return Client.from_pool(sentinel_pool(address, options, server=server))
    if not address.hosts:
        return Client.from_pool(Pool(connection_class=packing(UnixDomainSocketConnection), **options))
    return Client.from_pool(server(*address.hosts[0]))
