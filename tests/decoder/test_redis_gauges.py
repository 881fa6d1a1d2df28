import asyncio
import math

from redis.asyncio import Redis

from core.errors import Reason
from core.messages import DeadLetter
from decoder.metrics import DecoderMetrics
from decoder.redis_gauges import RedisGauges
from runtime.service import Stop
from state.dead_letters import DeadLetters, Which
from tests.conftest import NOON, RAW, eventually

OBSERVE_GROUP = "observe"

GROUP = {"stream": "raw:{0}", "group": "observe"}


def value(metrics: DecoderMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


async def test_what_waits_in_redis_is_shown_by_stream_and_group(redis_client: Redis, metrics: DecoderMetrics) -> None:
    seconds, _ = await redis_client.time()
    await redis_client.xadd(RAW, {"n": 1}, id=f"{(seconds - 90) * 1000}-0")
    await redis_client.xadd(RAW, {"n": 2})
    await redis_client.xgroup_create(RAW, OBSERVE_GROUP, id="0")
    await redis_client.xreadgroup(OBSERVE_GROUP, "a", {RAW: ">"}, count=1)
    await redis_client.zadd("dirty:{0}", {"1m:0:campus:car": 1})
    await RedisGauges(client=redis_client, partitions=1, metrics=metrics).look()
    assert value(metrics, "decoder_backlog_entries", **GROUP, state="undelivered") == 1
    assert value(metrics, "decoder_backlog_entries", **GROUP, state="pending") == 1
    later, _ = await redis_client.time()
    assert 90 <= (value(metrics, "decoder_oldest_entry_age_seconds", **GROUP) or 0) <= 91 + later - seconds
    assert value(metrics, "decoder_oldest_entry_age_seconds", stream="positions:{0}", group="archive") == 0
    assert value(metrics, "decoder_dirty_windows") == 1


async def test_dead_letters_are_kept_replayed_dropped_or_pushed_out(
    redis_client: Redis, metrics: DecoderMetrics
) -> None:
    gauges = RedisGauges(client=redis_client, partitions=1, metrics=metrics)
    letter = DeadLetter(Reason.NOT_JSON, "broken", "car-iotp", NOON, b"e30=")
    dead_letters = DeadLetters(redis_client, partitions=1)
    await dead_letters.add([letter] * 8, 5, partition=0)
    first, second, *_ = [found async for found in dead_letters.newest(Which())]
    await dead_letters.replay([first])
    await dead_letters.drop([second[0]])
    await gauges.look()
    assert value(metrics, "decoder_dead_letters_kept") == 3
    assert value(metrics, "decoder_dead_letters_capped_total") == 3


async def test_while_redis_is_away_nothing_old_is_shown(
    redis_client: Redis, metrics: DecoderMetrics, away_redis: Redis
) -> None:
    await RedisGauges(client=redis_client, partitions=1, metrics=metrics).look()
    assert value(metrics, "decoder_dirty_windows") == 0
    assert value(metrics, "decoder_dead_letters_capped_total") == 0
    stop = Stop()
    running = asyncio.ensure_future(RedisGauges(client=away_redis, partitions=1, metrics=metrics).run(stop))

    async def unknown() -> bool:
        return math.isnan(value(metrics, "decoder_dirty_windows") or 0)

    await eventually(unknown)
    stop.set()
    await running
    assert value(metrics, "decoder_backlog_entries", **GROUP, state="pending") is None
    assert value(metrics, "decoder_dead_letters_capped_total") is None
