from typing import Any

import pytest
from redis.exceptions import DataError

from state.commands import slot_of, slot_of_command

# By CLUSTER KEYSLOT of Redis 7.0.
FOO, BAR = 12182, 5061


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "foo"),
        ("get", b"foo"),
        ("HSET", "{foo}:x", "bar", 1),
        ("EVALSHA", "0123", 2, "x{foo}", "y{foo}", "bar"),
        ("EVAL", "return 1", "1", "foo"),
        ("XREADGROUP", "GROUP", "bar", "bar", "COUNT", 1, "STREAMS", "foo", ">"),
        ("XREAD", b"STREAMS", b"foo", b"0"),
        ("XGROUP CREATE", "foo", "bar", "$"),
        ("XGROUP", "CREATE", "foo", "bar", "$"),
        ("XINFO STREAM", "foo"),
        ("XINFO", "STREAM", "foo"),
        ("OBJECT", "ENCODING", "foo"),
        ("MEMORY USAGE", "foo"),
        ("DEL", "foo", "{foo}bar"),
    ],
)
def test_a_command_goes_where_its_first_key_is(command: tuple[Any, ...]) -> None:
    assert slot_of_command(command) == FOO


@pytest.mark.parametrize("command", [("PING",), ("TIME",), ("SCRIPT LOAD", "return 1"), ("SCRIPT", "EXISTS", "x")])
def test_some_go_to_any_or_to_all(command: tuple[Any, ...]) -> None:
    assert slot_of_command(command) is None


@pytest.mark.parametrize(
    "command",
    [
        ("INFO", "memory"),
        ("CONFIG GET", "append*"),
        ("SCAN", 0),
        ("EVALSHA", "0123", 0, "foo"),
        ("XREAD", "COUNT", 1),
        ("GET",),
        ("WAIT", 1, 100),
    ],
)
def test_what_has_no_key_is_a_mistake(command: tuple[Any, ...]) -> None:
    with pytest.raises(DataError):
        slot_of_command(command)


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        ("foo", FOO),
        (b"bar", BAR),
        ("{foo}bar", FOO),
        ("bar{foo}{bar}", FOO),
        ("{}foo", 9500),
        ("foo{", 7673),
        (5, 9974),
    ],
)
def test_what_is_in_the_first_braces_decides(key: Any, slot: int) -> None:  # noqa: ANN401 - what redis-py takes for a key
    assert slot_of(key) == slot
