"""One Redis that Sentinel watches: each new connection goes to whichever server Sentinel calls the primary now.

redis-py's own parts do that (`redis.asyncio.sentinel`); here they stand on a pool whose connections wait for their
turn, and each Sentinel is asked for a short while only: of three, one may be frozen.
"""

from typing import Any, cast

from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from state.address import Address, Host
from state.calls import Pool

ASK_SECONDS = 1.0
"""How long one Sentinel may take to answer."""


class _Sentinels(Sentinel):
    """Asks one after another who the primary is; one that answered is asked first the next time.

    redis-py's own way loses Sentinels from its list when several connections ask at once.
    """

    async def discover_master(self, service_name: str) -> Host:
        problems = []
        for sentinel in list(self.sentinels):
            try:
                told = cast("dict[str, Any]", await sentinel.sentinel_masters()).get(service_name)
            except (RedisError, OSError) as error:
                problems.append(str(error))
                continue
            if told and self.check_master_state(told, service_name):
                self.sentinels.sort(key=lambda each: each is not sentinel)
                return str(told["ip"]), int(told["port"])
            problems.append(f"{service_name!r} is down" if told else f"{service_name!r} is not known")
        raise MasterNotFoundError(f"Sentinel names no primary: {', '.join(dict.fromkeys(problems))}")


class _Pool(Pool, SentinelConnectionPool):
    """Connections to the primary. Those to another server are closed as soon as it is known that it is another."""

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


def sentinel_pool(address: Address, options: dict[str, Any]) -> Pool:
    """The connections to the service of `address`, each made with `options`."""
    asking: dict[str, Any] = {
        "socket_timeout": ASK_SECONDS,
        "socket_connect_timeout": ASK_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        **address.sentinel_options,
        "ssl": address.encrypted,
    }
    sentinels = _Sentinels(address.hosts, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]  # redis-py's own
    return _Pool(
        service_name=address.service,
        sentinel_manager=sentinels,
        connection_class=SentinelManagedSSLConnection if address.encrypted else SentinelManagedConnection,
        **options,
    )
