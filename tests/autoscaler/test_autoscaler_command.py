import asyncio

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from autoscaler.__main__ import app
from autoscaler.reading import decoder_lag
from core import streams

runner = CliRunner()


async def publish(client: Redis, partition: int, messages: int) -> None:
    for number in range(messages):
        await client.xadd(streams.raw(partition), {"p": number})


async def test_nothing_published_is_no_lag(redis_client: Redis) -> None:
    assert await decoder_lag(redis_client, 2) == 0


async def test_messages_that_no_decoder_ever_asked_for_are_lag(redis_client: Redis) -> None:
    await publish(redis_client, 0, 3)

    assert await decoder_lag(redis_client, 1) == 3


async def test_lag_is_what_was_not_delivered_and_what_was_not_acknowledged(redis_client: Redis) -> None:
    raw = streams.raw(0)
    await redis_client.xgroup_create(raw, streams.OBSERVE_GROUP, id="0", mkstream=True)
    await publish(redis_client, 0, 10)
    await redis_client.xgroup_create(raw, "another", id="$")
    await redis_client.xreadgroup(streams.OBSERVE_GROUP, "decoder-1", {raw: ">"}, count=4)
    (done, _), (oldest, _) = await redis_client.xrange(raw, count=2) or []
    assert done
    await redis_client.xack(raw, streams.OBSERVE_GROUP, done)
    await redis_client.xtrim(raw, minid=oldest, approximate=False)
    await publish(redis_client, 1, 5)

    assert await decoder_lag(redis_client, 2) == 9 + 5


def invoke(*arguments: str) -> tuple[int, str]:
    result = runner.invoke(app, arguments, env={"COLUMNS": "100"})
    return result.exit_code, result.output


def test_once_prints_what_it_would_do(redis_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fill() -> None:
        async with Redis.from_url(redis_server) as client:
            await client.flushall()
            await publish(client, 0, 5)

    asyncio.run(fill())
    monkeypatch.setenv("REDIS_URL", redis_server)
    monkeypatch.setenv("DECODER_LAG", "1")

    code, output = invoke("--once", "--brokers", "2", "--decoders", "2")

    assert code == 0
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in output.splitlines() if "│" in line]
    assert rows == [
        ["broker", "not read yet", "2", "2", "do nothing"],
        ["decoder", "5 entries behind", "2", "5", "start 3"],
    ]


def test_redis_away_is_said_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path_factory.mktemp('away')}/redis.sock")

    code, output = invoke("--once")

    assert code == 1
    assert "Redis does not answer" in output


def test_it_does_not_pretend_to_run_by_itself() -> None:
    code, output = invoke()

    assert code == 2
    assert "does not run by itself yet" in output


def test_the_help_says_that_it_acts_on_nothing() -> None:
    _, output = invoke("--help")

    assert "acts on nothing" in output
    assert "Docker Engine" in output


def test_limits_the_wrong_way_round_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_MINIMUM", "5")
    monkeypatch.setenv("SCALE_MAXIMUM", "3")

    code, output = invoke("--once")

    assert code == 2
    assert "SCALE_MAXIMUM is less than SCALE_MINIMUM" in output
