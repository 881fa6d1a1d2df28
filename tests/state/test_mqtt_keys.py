"""All that broker nodes share lies in one slot, whatever clients, users and nodes call themselves."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.crc import key_slot

from state import nodes, retained, routes, sessions, users
from state.lua import lua
from state.mqtt import Scripts, key

GUARD = "never:{mqtt}"

SLOT = key_slot(b"{mqtt}")
NAMED = [
    nodes.node_key,
    nodes.inbox,
    nodes.interest,
    nodes.clients,
    nodes.wills,
    sessions.session,
    sessions.owned,
    sessions.subscriptions,
    sessions.queue,
    sessions.brief,
    sessions.released,
    sessions.received,
]
ONCE = [
    GUARD,
    nodes.NODES,
    retained.RETAINED,
    retained.ANONYMOUS,
    retained.BYTES,
    retained.STATES,
    retained.STATES_VERSION,
    retained.STATES_GONE,
    routes.ROUTES,
    routes.LOG,
    routes.VERSION,
    sessions.SESSIONS,
    sessions.BYTES,
    sessions.EXPIRY,
    sessions.BRIEF,
    users.USERS,
    users.VERSION,
    users.REMOVED,
]
names = st.text(st.sampled_from("{}:\0a\u00e9\U0001f697") | st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.mark.parametrize("function", NAMED)
@given(name=names)
@example(name="")
@example(name="{campus}")
@example(name="}{0}")
@example(name="\0{0}\0")
def test_no_name_moves_a_key_to_another_slot(function: Callable[[str], str], name: str) -> None:
    assert key_slot(function(name).encode()) == SLOT


def test_what_there_is_once_lies_there_too_and_has_a_name_of_its_own() -> None:
    assert {key_slot(each.encode()) for each in ONCE} == {SLOT}
    made = [*ONCE, *(function("a") for function in NAMED)]
    assert len(set(made)) == len(made)


@given(name=names, other=names)
def test_two_things_of_a_kind_have_two_keys(name: str, other: str) -> None:
    assert (sessions.queue(name) == sessions.queue(other)) == (name == other)
    assert sessions.brief(name) != sessions.BRIEF


async def test_scripts_name_keys_as_python_does(redis_client: Redis) -> None:
    script = lua("mqtt/common") + "return {key('brief'), key('brief', ARGV[1])}"
    for name in ("c", "", "{0}", "}{", "a\0b", "\u00e9"):
        answer = await redis_client.eval(script, 1, GUARD, name)
        assert answer == [key("brief").encode(), sessions.brief(name).encode()]


def test_every_script_names_the_guard_and_something_beside_it() -> None:
    scripts = Scripts(Redis())
    command = scripts.command("take", [nodes.NODES], "n:1", 7)
    assert command[2:] == (2, "never:{mqtt}", "nodes:{mqtt}", "n:1", 7)
