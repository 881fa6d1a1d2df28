"""Each module's ACCESS names the commands that its code and its scripts use, and keys that are known."""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

from state.access import CONNECTION, Access, Accesses, Right, access, guards, pattern
from state.key_types import TYPES
from state.mqtt import script_text
from state.upgrade.names import TELLING

STATE = Path(__file__).resolve().parents[2] / "state"
LUA = STATE / "lua"
METHODS = {
    "bgrewriteaof": "BGREWRITEAOF",
    "config_get": "CONFIG|GET",
    "delete": "DEL",
    "incr": "INCRBY",
    "xgroup_create": "XGROUP|CREATE",
    "xgroup_destroy": "XGROUP|DESTROY",
    "xinfo_consumers": "XINFO|CONSUMERS",
    "xinfo_groups": "XINFO|GROUPS",
    "xpending_range": "XPENDING",
    "zscan_iter": "ZSCAN",
}
"""Methods of redis-py that are not called as their command is."""
_WORDS = (
    "BGREWRITEAOF CONFIG|GET DEL EVAL EXISTS GET HDEL HEXISTS HGET HGETALL HINCRBY HKEYS HLEN HMGET HRANDFIELD "
    "HSCAN HSET HSETNX HSTRLEN HVALS INCR INCRBY INFO MGET PEXPIRE PEXPIREAT PTTL RENAME SADD SCAN SCARD SET SETBIT "
    "SMEMBERS SMISMEMBER SPOP SRANDMEMBER SREM TIME TYPE UNLINK WAIT WAITAOF XACK XADD XCLAIM XDEL XGROUP|CREATE "
    "XGROUP|DELCONSUMER XGROUP|DESTROY XGROUP|SETID XINFO|CONSUMERS XINFO|GROUPS XINFO|STREAM XLEN XPENDING "
    "XRANGE XREAD XREADGROUP XREVRANGE XTRIM ZADD ZCARD ZCOUNT ZMSCORE ZRANGE ZRANGEBYSCORE ZREM ZREMRANGEBYRANK "
    "ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZSCAN ZSCORE"
)
COMMANDS = set(_WORDS.split())
"""Those that modules of `state/` may use."""
HELPERS = {"credentials": ("api_keys", "users"), "unreadable": ("mirror", "nodes", "retained", "routes", "sessions")}
"""Modules without an ACCESS of their own: what they do is done for these."""
SHARED = {"refusals": "announce", "queued_positions": "drop"}
"""Scripts of the brokers that others run, too."""
PARTS = {"common", "costs", "nodes", "queue", "retain", "routes", "session"}
OF_BROKERS = sorted({path.stem for path in (LUA / "mqtt").glob("*.lua")} - PARTS)
PLAIN = {"calls", "commands", "key_types", "restoring", "sentinel"}
"""How Redis is asked, whatever it is about; setting aside (`state.key_types.mending`); who writes all."""
MODULES = sorted(path.stem for path in STATE.glob("*.py") if "\nACCESS = {" in path.read_text())


def accesses(module: str) -> Accesses:
    found: Accesses = importlib.import_module(f"state.{module}").ACCESS
    return found


@cache
def in_lua(*names: str) -> frozenset[str]:
    """The commands that a script of these files uses: those of its functions that it calls, and its own."""
    return _in_script("".join((LUA / f"{name}.lua").read_text() for name in names))


def _in_script(text: str) -> frozenset[str]:
    text = re.sub(r"--[^\n]*", "", text)
    functions = dict(re.findall(r"^local function (\w+)(.*?)^end$", text, re.MULTILINE | re.DOTALL))
    used, rest = set[str](), re.sub(r"^local function \w+.*?^end$", "", text, flags=re.MULTILINE | re.DOTALL)
    while more := [name for name in functions.keys() - used if re.search(rf"\b{name}\(|\b{name}\b", rest)]:
        used.update(more)
        rest += "".join(functions[name] for name in more)
    found = set()
    for first, second in re.findall(r"'([A-Z]+)'(?:\s*,\s*'([A-Z]+)')?", rest):
        # XINFO and XGROUP have a subcommand; other second words are options, or another command of a choice.
        found |= {f"{first}|{second}", first, second} & COMMANDS
    return frozenset(found)


def in_python(module: str) -> set[str]:
    """The commands that a module calls by redis-py's methods, or as words, and those of its scripts."""
    text = (STATE / f"{module}.py").read_text()
    tree = ast.parse(text)
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found |= _called(node.func, node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "lua":
            names = [each.value for each in node.args if isinstance(each, ast.Constant)]
            found |= {"EVAL", *in_lua(*map(str, names))} if names else set()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if "redis.call(" in node.value:
                found |= {"EVAL", *_in_script(_with_touch(text, node.value))}
            elif node.value in {"SREM", "HDEL", "XDEL", "SET", "WAIT", "WAITAOF"}:
                found.add(node.value)
    return found


def _called(method: ast.Attribute, call: ast.Call) -> set[str]:
    receiver = ast.unparse(method.value)
    if not re.search(r"client|pipeline|server|master|cast\(", receiver) or ast.unparse(call).startswith("server.get("):
        return set()
    name = METHODS.get(method.attr, method.attr.upper())
    return {name} & COMMANDS if method.attr.islower() and call else set()


def _with_touch(text: str, script: str) -> str:
    """A script of a module that may have other files before it."""
    before = set(re.findall(r'lua\("(\w+)"\) \+ \w+', text)) | set(re.findall(r'lua\("(\w+)"\) \+ "', text))
    return "".join((LUA / f"{name}.lua").read_text() for name in sorted(before)) + script


def named(module: str) -> set[str]:
    return {command for rights in accesses(module).values() for each in rights for command in each.commands}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_asks_for_the_commands_that_it_uses_and_no_others(module: str) -> None:
    used = in_python(module)
    for helper, whose in HELPERS.items():
        used |= in_python(helper) if module in whose else set()
    if module == "mqtt":
        used |= {"EVAL"}.union(*(_in_script(script_text(name)) for name in OF_BROKERS))
    if module in SHARED:
        used |= {"EVAL", *_in_script(script_text(SHARED[module]))}
    assert named(module) == used


def test_every_module_that_asks_redis_for_something_has_an_access() -> None:
    asking = {path.stem for path in STATE.glob("*.py") if in_python(path.stem)}
    assert asking - set(MODULES) - PLAIN == set(HELPERS)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_asks_for_keys_that_are_known(module: str) -> None:
    for rights in accesses(module).values():
        for key in (key for each in rights for key in each.keys):
            plain = key.removeprefix("aside:")
            known = plain in TYPES or any(plain.startswith(each) for each in TYPES if each.endswith(":"))
            assert known or plain.startswith("never:{") or plain in TELLING, key


def test_what_the_scripts_of_this_test_are_read_as() -> None:
    assert in_lua("totals", "dead_letters") == {"HINCRBY", "HSET", "HLEN", "XADD"}
    assert in_lua("presence") == {"ZCOUNT", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE"}
    assert _in_script("redis.call('XINFO', 'GROUPS', KEYS[1]) redis.call(x and 'SADD' or 'SREM', a)") == {
        "XINFO|GROUPS",
        "SADD",
        "SREM",
    }


def test_keys_are_named_as_redis_matches_them() -> None:
    assert pattern("raw:{p}") == "raw:{[0-9]*}"
    assert pattern("presence:{p}:") == "presence:{[0-9]*}:*"
    assert pattern("users:{mqtt}") == "users:{mqtt}"
    assert guards(["raw:{p}", "totals:{p}", "users:{mqtt}"]) == ["never:{p}", "never:{mqtt}"]
    assert access("a b", "GET") == Access(("a", "b"), ("GET",))
    assert "PING" in CONNECTION
    assert {right.value for right in Right} == {"read", "tell", "write", "erase"}
