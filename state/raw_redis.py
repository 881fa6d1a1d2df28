"""Where `raw` and what goes with it lies: on the Redis of everything else, or on one of its own (RAW_REDIS_URL).

Law 4, no trace: what was cut off a stream is still in Redis's append-only file, until that is rewritten. Rewriting it
costs in proportion to all that a Redis holds. So what brokers accepted may have a Redis of its own: it holds messages
for moments, and its file is rewritten in no time (docs/decisions/0025-an-entry-a-batch.md).

Whoever opens Redis is given one client, and the aggregates of `raw` ask here for theirs: `state.raw`,
`state.dead_letters`, `state.backlog`, `state.passed`.
"""

from typing import cast

from state.calls import Redis

_BESIDE = "raw_redis"


def keep_raw_in(client: Redis, raw: Redis) -> None:
    """Have what goes with `raw` lie in another Redis."""
    setattr(client, _BESIDE, raw)


def raw_redis(client: Redis) -> Redis:
    """The Redis of `raw`; `client` itself where it has none of its own."""
    return cast("Redis", getattr(client, _BESIDE, client))


def all_redis(client: Redis) -> list[Redis]:
    """`client`, and the Redis of `raw` where that is another."""
    raw = raw_redis(client)
    return [client] if raw is client else [client, raw]
