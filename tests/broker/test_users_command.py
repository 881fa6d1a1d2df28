import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner, Result

from broker.auth.passwords import matches
from broker.auth.users import User, Users
from broker.auth.users_command import users_app
from broker.auth.users_file import UsersFileError, read_rows
from core.kinds import DEFAULT_KINDS
from tests.conftest import free_port

MAX_PROBLEMS = 20
MAX_USERS = 100_000
USERS = "users:{mqtt}"

Run = Callable[..., Awaitable[Result]]
# Of "from elsewhere"; the same in every process, since it is in the names of tests.
HASH = "$argon2id$v=19$m=19456,t=2,p=1$UzGwUQ0wam2XamcweI7/fQ$JU4KJrG52UXOW+rFd3fkrfX+8un4DaXULHKL3wOfERQ"
TOO_DEAR = HASH.replace("m=19456", "m=4194304")


@pytest.fixture
def run(redis_server: str) -> Run:
    """Runs `users` with arguments, and `typed` as its input."""

    async def invoke(*arguments: str, typed: str | bytes = "", url: str = redis_server) -> Result:
        environment = {"REDIS_URL": url, "COLUMNS": "250"}
        return await asyncio.to_thread(CliRunner().invoke, users_app, arguments, input=typed, env=environment)

    return invoke


@pytest.fixture
def users(redis_client: Redis) -> Users:
    return Users(redis_client)


async def test_a_user_gets_a_random_password_which_is_printed_alone(users: Users, run: Run) -> None:
    result = await run("add", "car-7", "--role", "car")
    assert result.exit_code == 0, result.output
    (user,) = await users.all()
    assert (user.name, user.role) == ("car-7", "car")
    password = result.stdout.removesuffix("\n")
    assert len(password) == 32
    assert matches(password.encode(), user.password)
    assert "added car-7 with the role car" in result.stderr
    assert password not in result.stderr


async def test_a_password_of_ones_own_comes_from_standard_input_and_is_not_printed(users: Users, run: Run) -> None:
    result = await run("add", "reports", "--role", "service", "--password-stdin", typed=" correct horse \n")
    assert result.exit_code == 0, result.output
    (user,) = await users.all()
    assert matches(b" correct horse ", user.password)
    assert "horse" not in result.output
    assert result.stdout == ""


async def test_to_add_again_replaces_role_and_password(users: Users, run: Run) -> None:
    await run("add", "car-7", "--role", "car")
    (before,), version = await users.all(), await users.version()
    result = await run("add", "car-7", "--role", "mobile")
    assert "replaced car-7 with the role mobile" in result.stderr
    (after,) = await users.all()
    assert after.role == "mobile"
    assert after.password != before.password
    assert await users.version() != version


@pytest.mark.parametrize(
    ("arguments", "typed", "said"),
    [
        (("add", "car-7"), "", "--role"),
        (("add", "car-7", "--role", "anonymous"), "", "one of car, mobile, gateway, service"),
        (("add", "car-7", "--role", "king"), "", "one of car, mobile, gateway, service"),
        (("add", "", "--role", "car"), "", "1 to 128 characters"),
        (("add", "a\nb", "--role", "car"), "", "printable"),
        (("add", "x" * 129, "--role", "car"), "", "1 to 128 characters"),
        (("add", "car-7", "--role", "car", "--password-stdin"), "", "1 to 1024 bytes"),
        (("add", "car-7", "--role", "car", "--password-stdin"), "x" * 1025, "1 to 1024 bytes"),
        (("add", "car-7", "--role", "car", "--password", "x"), "", "No such option"),
        (("remove",), "", "NAME"),
    ],
)
async def test_what_cannot_be_meant_is_refused_and_explained(
    users: Users, run: Run, arguments: tuple[str, ...], typed: str, said: str
) -> None:
    result = await run(*arguments, typed=typed)
    assert result.exit_code == 2
    assert said in result.stderr
    assert await users.version() == 0


async def test_users_are_removed_and_who_was_not_there_is_named(users: Users, run: Run) -> None:
    await users.put([User(name, "car", HASH) for name in ("car-1", "car-2", "car-3")])
    result = await run("remove", "car-1", "car-3")
    assert (result.exit_code, result.stdout) == (0, "2 removed\n")
    result = await run("remove", "car-1", "car-2")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "1 removed\n", "no such user: car-1\n")
    assert await users.all() == []


async def test_the_list_has_names_and_roles_and_never_a_hash(users: Users, run: Run) -> None:
    await users.put([User("[red]car", "car", HASH), User("Áras", "service", HASH)])
    table, lines = await run("list"), await run("list", "--json")
    assert "[red]car" in table.stdout
    assert "2 users" in table.stdout
    assert [json.loads(line) for line in lines.stdout.splitlines()] == [
        {"name": "[red]car", "role": "car"},
        {"name": "Áras", "role": "service"},
    ]
    assert "argon2" not in table.output + lines.output


CSV = "\n".join(
    (
        "name,role,password",
        'car-7,car,"with, comma ""and quotes"""',
        " gate way , gateway ,Grüße",
        f'elsewhere,service,"{HASH}"',
    )
)


@pytest.mark.parametrize("source", ["-", "users.csv", "with a mark.csv"])
async def test_a_file_is_imported_with_passwords_plain_or_hashed(
    users: Users, run: Run, tmp_path: Path, source: str
) -> None:
    if source == "-":
        result = await run("import", "-", typed=CSV)
    else:
        (tmp_path / source).write_text(CSV, encoding="utf-8-sig" if "mark" in source else "utf-8")
        result = await run("import", str(tmp_path / source))
    assert (result.exit_code, result.stdout) == (0, "3 added, 0 replaced, 0 unchanged\n"), result.output
    car, elsewhere, gateway = await users.all()
    assert (car.name, car.role, matches(b'with, comma "and quotes"', car.password)) == ("car-7", "car", True)
    assert (gateway.name, gateway.role) == ("gate way", "gateway")
    assert matches("Grüße".encode(), gateway.password)
    assert elsewhere == User("elsewhere", "service", HASH)


async def test_to_import_again_changes_only_what_has_changed(users: Users, run: Run) -> None:
    await run("import", "-", typed=CSV)
    before, version = await users.all(), await users.version()
    assert (await run("import", "-", typed=CSV)).stdout == "0 added, 0 replaced, 3 unchanged\n"
    assert (await users.all(), await users.version()) == (before, version)
    changed = CSV.replace("Grüße", "other").replace("car-7,car", "car-7,mobile")
    assert (await run("import", "-", typed=changed)).stdout == "0 added, 2 replaced, 1 unchanged\n"
    car, elsewhere, gateway = await users.all()
    assert (car.role, car.password) == ("mobile", before[0].password)
    assert elsewhere == before[1]
    assert matches(b"other", gateway.password)


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("", "no users in it"),
        ("name,role,password\n", "no users in it"),
        ("a,car,x\nb,car\n", "line 2: 2 columns"),
        ("a,car,x\n\nb,car,x,y\n", "line 3: 4 columns"),
        ("a,secret,car\n", "line 1: the role is none of car, mobile, gateway, service"),
        ("a,anonymous,x\n", "line 1: the role is none of"),
        ("a,car,\n", "line 1: a password has 1 to 1024 bytes"),
        (f"a,car,{'x' * 1025}\n", "line 1: a password has 1 to 1024 bytes"),
        ("a,car,$argon2id$v=19$m=19456\n", "line 1: not an argon2 hash"),
        (f'a,car,"{TOO_DEAR}"\n', "line 1: an argon2 hash that costs too much"),
        ("\x1b,car,x\n", "line 1: a name has printable characters"),
        (f"{'x' * 129},car,x\n", "line 1: a name has 1 to 128"),
        ("a,car,x\nb,car,y\n a,mobile,z\n", "line 3: the name is there twice"),
        ('a,car,x\nb,car,"never closed\n', "not CSV"),
        ('a,car,"secret"x\n', "line 1: not CSV"),
    ],
)
async def test_a_file_with_a_fault_is_not_imported_at_all(users: Users, run: Run, file: str, problem: str) -> None:
    result = await run("import", "-", typed=file)
    assert result.exit_code == 1
    assert problem in result.stderr
    assert "nothing was imported" in result.stderr
    assert "secret" not in result.output
    assert await users.version() == 0


async def test_a_file_that_is_not_utf_8_or_not_there_is_named(users: Users, run: Run, tmp_path: Path) -> None:
    assert "not UTF-8" in (await run("import", "-", typed=b"a,car,x\nb,car,\xff\n")).stderr
    missing = await run("import", str(tmp_path / "none.csv"))
    assert missing.exit_code == 1
    assert "none.csv: No such file" in missing.stderr
    assert await users.version() == 0


def test_faults_are_told_to_an_end_and_users_have_one() -> None:
    with pytest.raises(UsersFileError) as bad:
        read_rows(("a,b" for _ in range(1000)), DEFAULT_KINDS)
    assert len(bad.value.problems) == MAX_PROBLEMS + 1
    taken = 0

    def endless() -> object:
        nonlocal taken
        while True:
            taken += 1
            yield f"car-{taken},car,x\n"

    with pytest.raises(UsersFileError, match="more than 100,000"):
        read_rows(endless(), DEFAULT_KINDS)  # type: ignore[arg-type]
    assert taken == MAX_USERS + 1


async def test_no_password_and_no_hash_of_a_file_is_in_a_repr() -> None:
    assert "topsecret" not in repr(read_rows(["a,car,topsecret"], DEFAULT_KINDS))


async def test_no_plain_password_is_in_redis(redis_client: Redis, run: Run) -> None:
    password = (await run("add", "car-7", "--role", "car")).stdout.strip()
    await run("import", "-", typed="car-8,car,plain-as-day")
    stored = await redis_client.hgetall(USERS)
    assert set(stored) == {b"car-7", b"car-8"}
    assert not any(plain.encode() in value for plain in (password, "plain-as-day") for value in stored.values())


@pytest.mark.parametrize("arguments", [("list",), ("add", "a", "--role", "car"), ("remove", "a")])
async def test_without_redis_the_command_says_where_it_looked(run: Run, arguments: tuple[str, ...]) -> None:
    result = await run(*arguments, url=f"redis://127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    assert "REDIS_URL or DATA_DIR" in result.stderr
    result = await run(*arguments, url="http://nowhere")
    assert result.exit_code == 2
    assert "REDIS_URL" in result.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("add", "--help"), ("import", "--help"), ("list", "--help")])
async def test_help_teaches(run: Run, arguments: tuple[str, ...]) -> None:
    result = await run(*arguments)
    assert result.exit_code == 0
    assert "REDIS_URL" in result.stdout or "python -m broker users" in result.stdout
