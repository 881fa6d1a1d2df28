"""Redis's snapshots, read key by key, and restored to another server of the same version and of a later one."""

import random
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from backup.rdb import Key, RdbError, RdbReader
from backup.rdb_checksum import crc64
from backup.redis_dump import dump
from runtime.settings import CommonSettings
from state.client import open_redis
from tests.backup.snapshots import SMALL
from tests.redis_servers.executables import VERSIONS, executable_of
from tests.redis_servers.process import RedisProcess, free_ports

AnyClient: TypeAlias = Any
"""redis-py's own, whose answers are of types that fit both of its clients."""
NOISE = random.Random(1).randbytes(300_000)  # noqa: S311 - the same at every run
AN_HOUR_MS = 3_600_000


@contextmanager
def server(executable: str, folder: Path, *settings: str) -> Iterator[Any]:
    process = RedisProcess(executable, folder, free_ports(1)[0], "--repl-diskless-sync-delay", "0", *settings)
    process.start()
    try:
        with redis.Redis(host="127.0.0.1", port=process.port) as client:
            yield client
    finally:
        process.kill()


def fill(client: AnyClient) -> None:
    """Of each type, small and large, so that Redis has it in each of its forms."""
    for index in range(300):
        client.set(f"text:{index}", "x" * index)
    client.mset({"number": 12, "12345": "a name that is a number", "-7": "another", "70000": 70_000, "a" * 200: "long"})
    client.set("ends", "soon", px=AN_HOUR_MS)
    client.set("noise", NOISE)
    client.rpush("list", *range(10))
    client.rpush("list:large", *(NOISE[at : at + 200] for at in range(0, 100_000, 200)))
    client.sadd("set:numbers", *range(100))
    client.sadd("set:numbers:large", *range(100_000, 101_000))
    client.sadd("set", "a", "b")
    client.sadd("set:large", *(f"member {index}" for index in range(1000)))
    client.zadd("scores", {"a": 1, "b": float("inf")})
    client.zadd("scores:large", {f"member {index}": index * 1.5 for index in range(1000)})
    client.hset("hash", mapping={"a": "1"})
    client.hset("hash:large", mapping={f"field {index}": "v" * index for index in range(300)})
    for index in range(500):
        client.xadd("stream", {"message": "m" * 50, "at": index})
    client.xgroup_create("stream", "observe", "0")
    client.xreadgroup("observe", "decoder-1", {"stream": ">"}, count=50)
    client.xgroup_create("stream", "archive", "$")
    client.xdel("stream", client.xrange("stream", count=1)[0][0])
    client.xadd("stream:empty", {"a": 1})
    client.xtrim("stream:empty", 0)
    with suppress(redis.ResponseError):  # before Redis 7.4
        client.execute_command("HPEXPIRE", "hash", AN_HOUR_MS, "FIELDS", 1, "a")
        client.execute_command("HPEXPIRE", "hash:large", AN_HOUR_MS, "FIELDS", 1, "field 7")


def contents(client: AnyClient) -> dict[bytes, object]:
    """What a server has, by key, in whatever order Redis has it."""
    found: dict[bytes, object] = {}
    for key in client.keys("*"):
        kind = client.type(key)
        of_kind: dict[bytes, Any] = {
            b"string": lambda key=key: client.get(key),
            b"list": lambda key=key: client.lrange(key, 0, -1),
            b"set": lambda key=key: sorted(client.smembers(key)),
            b"zset": lambda key=key: client.zrange(key, 0, -1, withscores=True),
            b"hash": lambda key=key: sorted(client.hgetall(key).items()),
            b"stream": lambda key=key: (client.xrange(key), client.xinfo_stream(key, full=True)),
        }
        value = of_kind[kind]()
        found[key] = kind, value, client.execute_command("PEXPIRETIME", key) if _tells_times(client) else None
    return found


def _tells_times(client: AnyClient) -> bool:
    return int(str(client.info("server")["redis_version"]).split(".")[0]) >= 7


def _without_ages(found: dict[bytes, object]) -> str:
    """As text, without how long consumers have been idle, or how a stream lies in memory."""
    text = repr(sorted(found.items()))
    for word in ("radix-tree-keys", "radix-tree-nodes", "seen-time", "active-time", "seen_time", "active_time"):
        pieces = text.split(word)
        text = pieces[0] + "".join(piece[piece.index(",") :] for piece in pieces[1:])
    return text


async def snapshot(client: AnyClient) -> bytes:
    port = client.connection_pool.connection_kwargs["port"]
    async with open_redis(CommonSettings(redis_url=f"redis://127.0.0.1:{port}")) as ours:
        return b"".join([data async for data in dump(ours)])


def read(data: bytes, cut: int = 100_000) -> list[Key]:
    reader = RdbReader(values=True)
    keys = [key for at in range(0, len(data), cut) for key in reader.feed(data[at : at + cut])]
    reader.end()
    return keys


def restore(client: AnyClient, keys: list[Key]) -> None:
    for key in keys:
        client.execute_command(
            "RESTORE", key.name, key.expires_at or 0, bytes(key.dumped), *(["ABSTTL"] if key.expires_at else [])
        )


@pytest.mark.parametrize("version", VERSIONS)
async def test_all_that_a_redis_has_is_restored_to_another(version: str, tmp_path: Path) -> None:
    executable = executable_of(version)
    with server(executable, tmp_path / "a") as first, server(executable, tmp_path / "b") as second:
        fill(first)
        restore(second, read(await snapshot(first)))
        assert len(contents(second)) == 319
        assert _without_ages(contents(second)) == _without_ages(contents(first))


@pytest.mark.parametrize("cut", [1, 7, 1000])
async def test_it_may_come_in_pieces_of_any_size(cut: int, tmp_path: Path) -> None:
    with server(executable_of("7.0"), tmp_path) as client:
        client.mset({f"key {index}": "v" * index for index in range(40)})
        client.hset("hash", mapping={f"field {index}": "v" * index for index in range(100)})
        data = await snapshot(client)
    keys = read(data, cut)
    assert [key.name for key in keys] == [key.name for key in read(data)]
    assert [key.dumped for key in keys] == [key.dumped for key in read(data)]


async def test_what_is_cut_off_is_no_snapshot(tmp_path: Path) -> None:
    with server(executable_of("7.0"), tmp_path) as client:
        client.set("a", "b" * 1000)
        data = await snapshot(client)
    end = data.rindex(b"\xff")
    for length in (0, 5, 9, end // 2, end):
        with pytest.raises(RdbError, match=r"cut off|no snapshot"):
            read(data[:length])


@given(st.data())
def test_nothing_but_rdb_errors_comes_of_changed_snapshots(data: st.DataObject) -> None:
    changed = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 5))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with suppress(RdbError):
        read(bytes(changed), data.draw(st.integers(1, 100)))


@given(st.binary(max_size=300))
def test_nothing_but_rdb_errors_comes_of_garbage(garbage: bytes) -> None:
    with suppress(RdbError):
        read(b"REDIS0011" + garbage, 50)


def test_data_of_a_module_and_of_an_unknown_type_are_refused_with_a_sentence() -> None:
    with pytest.raises(RdbError, match="data of a module"):
        read(b"REDIS0011\x07\x01a\x00")
    with pytest.raises(RdbError, match="does not know \\(99\\)"):
        read(b"REDIS0011\x63\x01a\x00")
    with pytest.raises(RdbError, match="no snapshot"):
        read(b"-ERR unknown command")


def test_a_length_that_nobody_could_hold_waits_for_what_never_comes() -> None:
    """Nothing is set aside for it: what there is stays what was fed."""
    reader = RdbReader(values=True)
    assert list(reader.feed(b"REDIS0011\x00\x01a\x81" + (2**62).to_bytes(8, "big") + b"x" * 100)) == []
    with pytest.raises(RdbError, match="cut off"):
        reader.end()


def large(count: int, size: int) -> Iterator[bytes]:
    """A snapshot of so many sets of one member each, which are so large, as it comes."""
    yield b"REDIS0011\xfe\x00"
    for number in range(count):
        yield b"\x02\x01%d\x01\x80" % number + size.to_bytes(4, "big")
        for at in range(0, size, 65_536):
            yield NOISE[: min(65_536, size - at)]
    yield b"\xff"


@pytest.mark.parametrize(("values", "most"), [(False, 1_000_000), (True, 26_000_000)])
def test_memory_is_that_of_one_value_or_of_none(values: bool, most: int, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """Bytes; of three values of 20 MB. The array of one grows by an eighth of itself."""
    monkeypatch.setattr("backup.rdb.crc64", lambda *_: 0)  # its time is not of interest
    reader, sizes = RdbReader(values=values), []
    tracemalloc.start()
    try:
        for piece in large(3, 20_000_000):
            for key in reader.feed(piece):
                sizes.append((key.size, len(key.dumped)))
                del key
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    reader.end()
    # The number of members, and the length of one, are of the value.
    assert sizes == [(20_000_006, 20_000_017 if values else 0)] * 3
    assert reader.largest == 20_000_006
    assert peak < most


def test_a_name_that_nobody_could_hold_is_refused() -> None:
    with pytest.raises(RdbError, match="a name of more than 1,048,576 bytes"):
        read(b"REDIS0011\x00\x80\x00\x20\x00\x00" + b"x" * 100)


def test_the_checksum_is_that_of_redis() -> None:
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    assert crc64(b"") == 0
    assert crc64(b"6789", crc64(b"12345")) == 0xE9C6D914C4B8D9CA


def test_names_that_are_numbers_or_compressed_are_read() -> None:
    keys = read(
        b"REDIS0011\xfe\x02\xfd\x10\x00\x00\x00\x00\xc0\xf9\x01v\xfc\x01\x00\x00\x00\x00\x00\x00\x00\x00\xc1\x39\x30\x01w"
        b"\x00\xc3\x05\x0a\x01aa\xc0\x00\x01x\xff"
    )
    assert [(key.name, key.expires_at, key.database) for key in keys] == [
        (b"-7", 16_000, 2),
        (b"12345", 1, 2),
        (b"a" * 10, None, 2),
    ]


def test_the_small_snapshot_is_one() -> None:
    assert [key.name for key in read(SMALL)] == [b"a", b"s", b"z", b"l", b"t"]
    assert len(read(SMALL, 1)) == 5
