"""Everything that names a key or a script of Redis is in the room `state/`: who changes what is stored looks there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.rooms import ROOMS

ROOT = Path(__file__).parents[2]
OTHERS = sorted({*ROOMS} - {"state"})
COMMANDS = frozenset(
    [
        "bgrewriteaof",
        "config_get",
        "config_set",
        "eval",
        "evalsha",
        "execute_command",
        "flushall",
        "hdel",
        "hget",
        "hgetall",
        "hincrby",
        "hmget",
        "hscan",
        "hset",
        "mget",
        "pexpire",
        "pipeline",
        "psetex",
        "register_script",
        "sadd",
        "scard",
        "script_load",
        "setbit",
        "smembers",
        "srandmember",
        "srem",
        "xack",
        "xadd",
        "xautoclaim",
        "xclaim",
        "xdel",
        "xgroup_create",
        "xgroup_destroy",
        "xinfo_consumers",
        "xinfo_groups",
        "xinfo_stream",
        "xlen",
        "xpending",
        "xpending_range",
        "xrange",
        "xread",
        "xreadgroup",
        "xrevrange",
        "xtrim",
        "zadd",
        "zcard",
        "zcount",
        "zmscore",
        "zrange",
        "zrangebyscore",
        "zrem",
        "zremrangebyrank",
        "zremrangebyscore",
        "zrevrangebyscore",
        "zscore",
    ]
)
KEY = re.compile(r":\{(mqtt|campus|p|\d+)\}|redis\.call")


@cache
def parsed() -> list[tuple[Path, ast.Module]]:
    return [
        (path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8")))
        for room in OTHERS
        for path in sorted((ROOT / room).rglob("*.py"))
    ]


def docstrings(tree: ast.Module) -> set[int]:
    """Texts that stand alone, where people read."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def test_no_other_room_imports_redis() -> None:
    found = []
    for path, tree in parsed():
        for node in ast.walk(tree):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path}: {name}" for name in names if name.split(".")[0] == "redis"]
    assert not found


def test_no_other_room_sends_a_command_to_redis() -> None:
    found = [
        f"{path}:{node.lineno}: {node.func.attr}"
        for path, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in COMMANDS
    ]
    assert not found


def test_no_other_room_names_a_key_or_has_a_script() -> None:
    found = []
    for path, tree in parsed():
        told = docstrings(tree)
        found += [
            f"{path}:{node.lineno}: {node.value[:60]}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in told
            and KEY.search(node.value)
        ]
    assert not found
    assert not [str(path) for room in OTHERS for path in (ROOT / room).rglob("*.lua")]


@pytest.mark.parametrize("text", ["raw:{0}", "session:{mqtt}:car-7", "campus:{campus}", "redis.call('GET', KEYS[1])"])
def test_a_key_or_a_script_is_known_when_it_is_seen(text: str) -> None:
    assert KEY.search(text)
