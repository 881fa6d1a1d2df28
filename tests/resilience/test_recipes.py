"""Recipes say what the keeper can do, and are refused with a sentence where they do not."""

import asyncio

import pytest

from tests.ports import free_port
from tests.resilience.recipes import Recipe, load
from tests.resilience.wire import wire


def test_the_recipes_cover_each_store_and_a_clock() -> None:
    recipes = load()
    assert {fault["between"] for recipe in recipes for fault in recipe.faults} == {
        "decoder>redis",
        "decoder>couchdb",
        "decoder>influxdb",
        "broker>redis",
    }
    assert [recipe.ahead for recipe in recipes if recipe.ahead != (0, 0)] == [(0, 90)]
    assert [recipe.name for recipe in recipes if recipe.dns_late] == [
        "DNS answers 5 s late, and one broker dies meanwhile"
    ]
    assert [recipe.name for recipe in recipes if recipe.partitioned] == ["One broker is partitioned from HAProxy"]
    assert all(recipe.is_of_a_broker for recipe in recipes if recipe.dns_late or recipe.partitioned)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (
            {"between": "decoder>redis", "kind": "status", "status": 503},
            "'status' cannot be made between decoder>redis",
        ),
        ({"between": "front>api", "kind": "delay", "milliseconds": 5}, "nothing stands between front>api"),
    ],
)
def test_a_recipe_that_cannot_be_is_named(fault: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^mine: .*{sentence}"):
        Recipe(name="mine", faults=[fault], seconds=1, recovered_within=1)


async def test_a_wire_that_is_torn_holds_what_is_under_way_and_tells_nobody() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = free_port()
    async with server, wire("127.0.0.1", port, server.sockets[0].getsockname()[1]) as torn, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"first\n")
        assert await reader.readline() == b"first\n"
        carried = torn.carried

        torn.tear()
        writer.write(b"second\n")
        waiting = asyncio.create_task(reader.readline())
        late_reader, late = await asyncio.open_connection("127.0.0.1", port)
        late.write(b"third\n")
        # So much has been done by this process since that anything would have come through.
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert torn.carried == carried

        torn.mend()
        assert await waiting == b"second\n"
        assert await late_reader.readline() == b"third\n"
        writer.close()
        late.close()
