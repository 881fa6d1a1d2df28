import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from broker.auth import passwords
from broker.auth.passwords import Passwords, hash_password
from broker.auth.users import Authenticator, User, Users
from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS, Role
from core.names import name_problem
from runtime.settings import CommonSettings
from state.client import open_redis
from tests.conftest import free_port
from tests.kinds_of_tests import CAR_ROLE, MOBILE_ROLE

USERS = "users:{mqtt}"

PASSWORD = b"secret"
# The same in every process: it is in the names of tests.
HASH = "$argon2id$v=19$m=19456,t=2,p=1$JCywnR3mW9hf+LOwZcujdg$Ey+DaStEz7p5PGWcRqS1n5e2TTpUBtXrVzlxjaxBeB0"
CAR = User("car-7", "car", HASH)
GATEWAY = User("gate way é", "gateway", HASH)


@pytest.fixture
def users(redis_client: Redis) -> Users:
    return Users(redis_client)


@pytest.fixture
async def authenticator(users: Users) -> AsyncIterator[Authenticator]:
    await users.put([CAR, GATEWAY])
    made = Authenticator(users=users, kinds=DEFAULT_KINDS, allow_anonymous=False, clock=lambda: 0.0)
    yield made
    made.close()


async def test_a_user_is_found_as_it_was_put(users: Users) -> None:
    assert await users.put([CAR, GATEWAY]) == 2
    assert await users.get(["car-7", "nobody", "gate way é"]) == {"car-7": CAR, "gate way é": GATEWAY}
    assert await users.get([]) == {}
    assert await users.all() == [CAR, GATEWAY]


async def test_every_change_moves_the_version(users: Users) -> None:
    seen = [await users.version()]
    assert seen == [0]
    await users.put([CAR])
    seen.append(await users.version())
    assert await users.put([User("car-7", "mobile", HASH)]) == 0
    seen.append(await users.version())
    assert await users.remove(["car-7", "nobody"]) == 1
    seen.append(await users.version())
    assert len(set(seen)) == 4
    assert await users.all() == []


@pytest.mark.parametrize("garbage", [b"", b"x", b"\xff", b"-7", b"9223372036854775807"])
async def test_a_version_that_is_none_is_another_one_with_the_next_change(
    users: Users, redis_client: Redis, garbage: bytes
) -> None:
    await redis_client.set("users:version:{mqtt}", garbage)
    assert await users.version() == 1, "there were users"
    assert await users.put([CAR]) == 1
    first = await users.version()
    assert first > 1
    await redis_client.set("users:version:{mqtt}", garbage)
    assert await users.remove(["car-7"]) == 1
    assert await users.version() not in {1, first}


async def test_more_users_than_fit_into_one_command_are_one_change(users: Users, redis_client: Redis) -> None:
    await redis_client.config_resetstat()
    many = [User(f"car-{number:04}", "car", HASH) for number in range(2500)]
    assert await users.put(many) == 2500
    assert (await redis_client.info("commandstats"))["cmdstat_exec"]["calls"] == 1
    assert await users.all() == many
    assert len(await users.get([user.name for user in many])) == 2500


@pytest.mark.parametrize(
    "name",
    ["", "x" * 129, "a\nb", "a\0b", "\x1b[31m", "a\u202eb", " a", "a ", "\ud800", "a\u2028b", "\x7f"],
)
def test_a_name_that_speaks_to_the_terminal_or_has_no_end_is_none(name: str) -> None:
    assert name_problem(name)
    with pytest.raises(ValueError, match="name"):
        User(name, "car", HASH)


@pytest.mark.parametrize("name", ["a", "x" * 128, "car 7", "Áras/1:2", "手机", "$SYS", "#"])
def test_other_names_are_fine(name: str) -> None:
    assert name_problem(name) is None


def test_nobody_can_be_given_the_role_anonymous_or_a_password_as_it_is() -> None:
    with pytest.raises(ValueError, match="role anonymous"):
        User("a", "anonymous", HASH)
    with pytest.raises(ValueError, match="argon2"):
        User("a", "car", "secret")


def test_a_users_repr_tells_no_hash() -> None:
    assert repr(CAR) == "User(name='car-7', role='car')"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        msgspec.json.encode({"name": "car-7", "role": "anonymous", "password": HASH}),
        msgspec.json.encode({"name": "car-7", "role": 7, "password": HASH}),
        msgspec.json.encode({"name": "car-7", "role": "car", "password": "secret"}),
        msgspec.json.encode({"name": "car-7", "role": "car", "password": HASH, "more": 1}),
        msgspec.json.encode({"name": "car-8", "role": "car", "password": HASH}),
        msgspec.json.encode({"name": "car-7", "role": "car", "password": HASH.replace("m=19456", "m=4194304")}),
    ],
)
async def test_what_is_no_user_in_redis_cannot_log_in(
    redis_client: Redis, users: Users, authenticator: Authenticator, value: bytes
) -> None:
    await redis_client.hset(USERS, "car-7", value)
    assert await users.all() == [GATEWAY]
    assert await authenticator.authenticate("car-7", PASSWORD) is None


async def test_a_user_whose_role_no_kind_has_is_refused_with_one_line_a_minute_and_stays_a_user(users: Users) -> None:
    tram = User("tram-1", "tram", HASH)
    await users.put([tram])
    clock = iter((0.0, 1.0, 59.0, 61.0))
    authenticator = Authenticator(
        users=users,
        kinds=DEFAULT_KINDS,
        allow_anonymous=False,
        clock=lambda: next(clock),
        passwords=Passwords(clock=lambda: 0.0),
    )
    with capture_logs() as logs:
        for _ in range(4):
            assert await authenticator.authenticate("tram-1", PASSWORD) is None
    authenticator.close()
    assert [(log["role"], log["log_level"]) for log in logs] == [("tram", "warning")] * 2
    assert "tram-1" not in str(logs), "it may be a device"
    assert await users.all() == [tram]


async def test_who_is_given_a_role_that_no_kind_has_must_go_once(users: Users, authenticator: Authenticator) -> None:
    assert await authenticator.authenticate("car-7", PASSWORD) is CAR_ROLE
    await users.put([User("car-7", "tram", HASH)])
    assert await authenticator.changed({"car-7": CAR_ROLE}) == {"car-7"}
    assert await authenticator.authenticate("car-7", PASSWORD) is None
    assert await authenticator.changed({}) == set()


async def test_a_user_with_its_password_has_its_role(authenticator: Authenticator) -> None:
    assert await authenticator.authenticate("car-7", PASSWORD) is CAR_ROLE
    assert await authenticator.authenticate("gate way é", PASSWORD) is Role.GATEWAY


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("car-7", b"wrong"),
        ("car-7", b""),
        ("car-7", None),
        ("car-7", HASH.encode()),
        ("car-8", PASSWORD),
        ("", PASSWORD),
        ("CAR-7", PASSWORD),
        ("car-7 ", PASSWORD),
        ("x" * 65_535, PASSWORD),
        ("car-7", b"x" * 65_535),
        ("\ud800", PASSWORD),
    ],
)
@pytest.mark.parametrize("allow_anonymous", [True, False])
async def test_anybody_else_who_gives_a_name_is_refused(
    users: Users, name: str, password: bytes | None, *, allow_anonymous: bool
) -> None:
    await users.put([CAR])
    authenticator = Authenticator(users=users, kinds=DEFAULT_KINDS, allow_anonymous=allow_anonymous, clock=lambda: 0.0)
    assert await authenticator.authenticate(name, password) is None
    authenticator.close()


@pytest.mark.parametrize(("name", "password"), [(None, None), (None, b"x"), ("", None), ("", b"")])
@pytest.mark.parametrize(("allowed", "role"), [(True, Role.ANONYMOUS), (False, None)])
async def test_without_a_name_a_client_is_anonymous_where_that_is_allowed(
    users: Users,
    role: Role | None,
    name: str | None,
    password: bytes | None,
    *,
    allowed: bool,
) -> None:
    authenticator = Authenticator(users=users, kinds=DEFAULT_KINDS, allow_anonymous=allowed, clock=lambda: 0.0)
    assert await authenticator.authenticate(name, password) is role
    authenticator.close()


async def test_an_unknown_user_is_hashed_like_a_known_one(
    authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []

    def counted(_: bytes, stored: str) -> bool:
        hashed.append(stored)
        return True  # even a hash that fits lets nobody in who is no user

    monkeypatch.setattr(passwords, "matches", counted)
    assert await authenticator.authenticate("stranger", PASSWORD) is None
    assert await authenticator.authenticate("car-7", PASSWORD) is CAR_ROLE
    assert [stored.split("$")[:4] for stored in hashed] == [HASH.split("$")[:4]] * 2


async def test_a_changed_password_holds_at_once_and_a_removed_user_is_refused(
    users: Users, authenticator: Authenticator
) -> None:
    assert await authenticator.authenticate("car-7", PASSWORD) is CAR_ROLE
    await users.put([User("car-7", "mobile", hash_password(b"new"))])
    assert await authenticator.authenticate("car-7", PASSWORD) is None
    assert await authenticator.authenticate("car-7", b"new") is MOBILE_ROLE
    await users.remove(["car-7"])
    assert await authenticator.authenticate("car-7", b"new") is None


class Counting(Users):
    """Counts what Redis is asked, and does something else meanwhile where that is wanted."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self.asked: list[list[str]] = []

    async def get(self, names: Sequence[str]) -> dict[str, User]:
        self.asked.append(sorted(names))
        return await super().get(names)


async def test_a_storm_of_logins_asks_redis_and_hashes_once(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = Counting(redis_client)
    await users.put([CAR, GATEWAY])
    hashed: list[bytes] = []

    def counted(password: bytes, _: str) -> bool:
        hashed.append(password)
        return True

    monkeypatch.setattr(passwords, "matches", counted)
    authenticator = Authenticator(users=users, kinds=DEFAULT_KINDS, allow_anonymous=False, clock=lambda: 0.0)
    logins = [authenticator.authenticate(name, PASSWORD) for name in ("car-7", "gate way é") * 500]
    roles = await asyncio.gather(*logins)
    assert set(roles) == {CAR_ROLE, Role.GATEWAY}
    assert users.asked == [["car-7", "gate way é"]]
    assert len(hashed) == 2
    authenticator.close()


async def test_who_is_removed_or_changed_must_go_and_nobody_else(users: Users, authenticator: Authenticator) -> None:
    others = [User(f"user-{number}", "service", HASH) for number in range(3)]
    await users.put(others)
    connected = {}
    for user in (CAR, GATEWAY, *others):
        role = await authenticator.authenticate(user.name, PASSWORD)
        assert role
        connected[user.name] = role
    assert await authenticator.changed(connected) == set()
    await users.remove(["user-0"])
    await users.put([User("user-1", "car", HASH), User("car-7", "car", hash_password(PASSWORD))])
    assert await authenticator.changed(connected) == {"user-0", "user-1", "car-7"}
    for name in ("user-0", "user-1", "car-7"):
        del connected[name]
    assert await authenticator.changed(connected) == set()


async def test_who_was_let_in_with_the_old_password_goes_even_if_the_new_one_was_used_before_anybody_looked(
    users: Users, authenticator: Authenticator
) -> None:
    assert await authenticator.authenticate("car-7", PASSWORD)
    await users.put([User("car-7", "car", hash_password(b"new"))])
    assert await authenticator.authenticate("car-7", b"new")
    assert await authenticator.changed({"car-7": CAR_ROLE}) == {"car-7"}
    # It comes back with the new one, and stays.
    assert await authenticator.authenticate("car-7", b"new")
    assert await authenticator.changed({"car-7": CAR_ROLE}) == set()


async def test_who_comes_back_with_the_new_password_after_a_look_stays(
    users: Users, authenticator: Authenticator
) -> None:
    assert await authenticator.authenticate("car-7", PASSWORD)
    await users.put([User("car-7", "car", hash_password(b"new"))])
    assert await authenticator.changed({"car-7": CAR_ROLE}) == {"car-7"}
    assert await authenticator.authenticate("car-7", b"new")
    assert await authenticator.changed({"car-7": CAR_ROLE}) == set()


async def test_a_login_that_no_connection_is_known_of_yet_is_looked_at_as_well(
    users: Users, authenticator: Authenticator
) -> None:
    assert await authenticator.authenticate("car-7", PASSWORD)
    assert await authenticator.authenticate("gate way é", PASSWORD)
    await users.put([User("car-7", "mobile", HASH)])
    assert await authenticator.changed({}) == {"car-7"}
    assert not authenticator._let_in


async def test_a_user_who_is_removed_while_its_password_is_hashed_is_not_let_in(
    users: Users, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()

    async def remove() -> None:
        await users.remove(["car-7"])
        # The node looks, and this login is not among its connections yet.
        assert await authenticator.changed({}) == set()

    def slow(_: bytes, stored: str) -> bool:
        if stored == HASH:
            asyncio.run_coroutine_threadsafe(remove(), loop).result(15)
        return True

    monkeypatch.setattr(passwords, "matches", slow)
    assert await authenticator.authenticate("car-7", PASSWORD) is None


async def test_a_change_of_somebody_else_meanwhile_refuses_nobody(
    users: Users, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    changes: list[None] = []

    async def remove_another() -> None:
        await users.remove(["gate way é"])
        await authenticator.changed({})

    def slow(_: bytes, __: str) -> bool:
        changes.append(asyncio.run_coroutine_threadsafe(remove_another(), loop).result(15))
        return True

    monkeypatch.setattr(passwords, "matches", slow)
    assert await authenticator.authenticate("car-7", PASSWORD) is CAR_ROLE
    assert len(changes) == 1


async def test_while_redis_is_away_nobody_is_refused_and_nobody_is_let_in() -> None:
    async with open_redis(CommonSettings(redis_url=f"redis://127.0.0.1:{free_port()}")) as client:
        authenticator = Authenticator(users=Users(client), kinds=DEFAULT_KINDS, allow_anonymous=True, clock=lambda: 0.0)
        logins = [authenticator.authenticate("car-7", PASSWORD) for _ in range(3)]
        answers = await asyncio.gather(*logins, return_exceptions=True)
        assert [isinstance(answer, UnavailableError) for answer in answers] == [True] * 3
        with pytest.raises(UnavailableError):
            await authenticator.changed({"car-7": CAR_ROLE})
        assert await authenticator.authenticate(None, None) is Role.ANONYMOUS
        authenticator.close()


async def test_a_login_that_is_given_up_disturbs_no_other(authenticator: Authenticator) -> None:
    logins = [asyncio.create_task(authenticator.authenticate("car-7", PASSWORD)) for _ in range(10)]
    await asyncio.sleep(0)
    for login in logins[:5]:
        login.cancel()
    assert await asyncio.gather(*logins[5:]) == [CAR_ROLE] * 5
