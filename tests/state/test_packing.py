"""Commands as hiredis writes them are those that redis-py writes."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import Connection, UnixDomainSocketConnection
from redis.exceptions import DataError

from core.kinds import DEFAULT_KINDS
from state.packing import packing

WORDS = st.one_of(
    st.binary(max_size=50),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=50).map(bytearray),
)


@given(name=st.sampled_from(["SET", b"SET", "CONFIG GET", b"XGROUP CREATE"]), words=st.lists(WORDS, max_size=10))
def test_a_command_is_the_same_bytes_as_redis_py_writes(name: str | bytes, words: list[bytes | str | float]) -> None:
    packed = packing(Connection)().pack_command(name, *words)

    assert b"".join(packed) == b"".join(Connection().pack_command(name, *words))


def test_a_command_is_one_piece_however_long_its_words_are() -> None:
    long = b"x" * 100_000

    packed = packing(Connection)().pack_command("SET", "é", long, 5, 1.5, DEFAULT_KINDS.ids[0])

    before, after = b"*6\r\n$3\r\nSET\r\n$2\r\n\xc3\xa9\r\n$100000\r\n", b"\r\n$1\r\n5\r\n$3\r\n1.5\r\n$3\r\ncar\r\n"
    assert packed == [before + long + after]


@pytest.mark.parametrize("word", [None, True, [1]])
def test_what_cannot_be_written_is_refused_in_the_words_of_redis_py(word: object) -> None:
    with pytest.raises(DataError, match="Invalid input of type"):
        packing(Connection)().pack_command("SET", "key", cast("Any", word))


def test_it_is_the_same_kind_of_connection() -> None:
    assert issubclass(packing(UnixDomainSocketConnection), UnixDomainSocketConnection)
    assert packing(Connection) is packing(Connection)
