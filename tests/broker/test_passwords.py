import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.auth import passwords
from broker.auth.passwords import (
    MAX_REMEMBERED,
    BusyError,
    Passwords,
    generate_password,
    hash_password,
    hash_problem,
    matches,
    nobodys_hash,
)
from tests.conftest import eventually

MAX_PASSWORD_BYTES = 1024
REFUSED_SECONDS = 5.0
REMEMBERED_SECONDS = 300.0

SALT_AND_DIGEST = "obXfKuEMcr0iki8y3d3Ulw$lUrfbch+qVc6duIHChzEzDaWWMU59jSd8z69M6230HI"


def test_a_hash_is_of_its_password_and_of_no_other_and_never_the_same_twice() -> None:
    first, second = hash_password(b"secret"), hash_password(b"secret")
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert matches(b"secret", first)
    assert not matches(b"Secret", first)
    assert hash_problem(first) is None


def test_nobodys_hash_is_one_that_costs_what_ours_cost() -> None:
    ours, nobodys = hash_password(b"x"), nobodys_hash()
    assert hash_problem(nobodys) is None
    assert ours.split("$")[:4] == nobodys.split("$")[:4]
    assert [len(part) for part in ours.split("$")] == [len(part) for part in nobodys.split("$")]
    assert not matches(b"x", nobodys)
    assert nobodys != nobodys_hash()


@pytest.mark.parametrize("password", [b"", b"x" * (MAX_PASSWORD_BYTES + 1)])
async def test_a_password_that_is_empty_or_endless_is_none(password: bytes, checker: "Checker") -> None:
    with pytest.raises(ValueError, match="1 to 1024 bytes"):
        hash_password(password)
    assert not await checker.passwords.check("car-7", password, "stored")
    assert not checker.hashed


def test_a_generated_password_is_new_each_time_and_needs_no_quotes() -> None:
    made = {generate_password() for _ in range(100)}
    assert len(made) == 100
    assert all(len(password) == 32 and password.replace("-", "").replace("_", "").isalnum() for password in made)


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        ("$argon2id$v=19$m=65536,t=3,p=4$" + SALT_AND_DIGEST, None),
        ("$argon2id$v=19$m=8,t=1,p=1$" + SALT_AND_DIGEST, None),
        ("$argon2i$v=19$m=19456,t=2,p=1$" + SALT_AND_DIGEST, "not argon2id"),
        ("$argon2d$v=19$m=19456,t=2,p=1$" + SALT_AND_DIGEST, "not argon2id"),
        ("$argon2id$v=19$m=4194304,t=2,p=1$" + SALT_AND_DIGEST, "costs too much"),
        ("$argon2id$v=19$m=19456,t=2000000000,p=1$" + SALT_AND_DIGEST, "costs too much"),
        ("$argon2id$v=19$m=19456,t=2,p=255$" + SALT_AND_DIGEST, "costs too much"),
        ("$argon2id$v=19$m=0,t=0,p=0$" + SALT_AND_DIGEST, "costs too much, or nothing"),
        ("$argon2id$v=19$m=-1,t=2,p=1$" + SALT_AND_DIGEST, "costs too much, or nothing"),
        ("$argon2id$v=19$m=19456,t=2,p=1$obXfKuEMcr0iki8y3d3Ulw$", "not an argon2 hash"),
        ("$argon2id$v=19$m=19456,t=2,p=1$obXf$lUrfbch+qVc6duIHChzEzDaWWMU59jSd8z69M6230HI", "not an argon2 hash"),
        ("$argon2id$v=19$m=19456,t=2,p=1$" + SALT_AND_DIGEST[:-1] + "J", "not an argon2 hash"),
        ("$argon2id$v=19$m=19456,t=2,p=1$" + SALT_AND_DIGEST + "=", "not an argon2 hash"),
        ("$argon2id$v=19$m=19456,t=2,p=1$" + SALT_AND_DIGEST.replace("+", "é"), "not an argon2 hash"),
        ("$argon2id$v=19$m=x,t=2,p=1$" + SALT_AND_DIGEST, "not an argon2 hash"),
        ("$argon2id", "not an argon2 hash"),
        ("$2b$12$abcdefghijklmnopqrstuv", "not an argon2 hash"),
        ("", "not an argon2 hash"),
        ("$argon2id$" + "x" * 600, "more than 512"),
    ],
)
def test_a_hash_that_somebody_else_made_is_bounded_in_what_it_costs(stored: str, problem: str | None) -> None:
    found = hash_problem(stored)
    assert (found is None) if problem is None else problem in (found or "")


@settings(max_examples=300)
@given(
    st.one_of(
        st.text(max_size=120),
        st.builds("$argon2id$v=19$m={},t={},p={}${}${}".format, *[st.integers(0, 99)] * 3, *[st.text(max_size=40)] * 2),
        st.builds(
            "$argon2id$v={}$m=8,t=1,p=1${}${}".format,
            st.sampled_from(["16", "19", "20", "x", ""]),
            *[st.text("abcXYZ012+/=", max_size=40)] * 2,
        ),
    )
)
def test_whatever_is_no_problem_can_be_checked(stored: str) -> None:
    if hash_problem(stored) is None:
        assert matches(b"x", stored) in {True, False}


@dataclass
class Checker:
    """Passwords whose hashing is counted, and can be held up; a hash here is `right:` and the password."""

    passwords: Passwords
    hashed: list[bytes] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    now: float = 0.0

    async def check(
        self,
        password: bytes = b"secret",
        name: str = "car-7",
        stored: str | None = "right:secret",
        address: str = "192.0.2.1",
    ) -> bool:
        return await self.passwords.check(name, password, stored, address=address)

    async def hold_up(self) -> "list[asyncio.Task[bool]]":
        """Let no hash end; two are under way, for users and addresses of their own."""
        self.go.clear()
        before = len(self.hashed)
        asked = [
            asyncio.create_task(self.check(b"wrong", f"held-{number}", address=f"held-{number}")) for number in range(2)
        ]
        await eventually(lambda: _true(len(self.hashed) == before + 2))
        return asked


@pytest.fixture
async def checker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Checker]:
    made = Checker(Passwords(clock=lambda: made.now, threads=2, max_waiting=4))
    made.go.set()

    def counted(password: bytes, stored: str) -> bool:
        made.hashed.append(password)
        assert made.go.wait(15)
        return stored == f"right:{password.decode()}"

    monkeypatch.setattr(passwords, "matches", counted)
    yield made
    made.go.set()
    made.passwords.close()


async def test_a_right_password_is_not_hashed_again_for_five_minutes(checker: Checker) -> None:
    assert await checker.check()
    checker.now = REMEMBERED_SECONDS - 1
    assert await checker.check()
    assert len(checker.hashed) == 1
    checker.now = REMEMBERED_SECONDS
    assert await checker.check()
    assert len(checker.hashed) == 2


async def test_a_wrong_password_is_hashed_again_after_a_few_seconds(checker: Checker) -> None:
    for _ in range(3):
        assert not await checker.check(b"wrong")
    assert len(checker.hashed) == 1
    checker.now = REFUSED_SECONDS
    assert not await checker.check(b"wrong")
    assert len(checker.hashed) == 2


@pytest.mark.parametrize(
    "other",
    [
        lambda checker: checker.check(b"wrong"),
        lambda checker: checker.check(name="car-8", stored="right:other"),
        lambda checker: checker.check(stored="right:changed"),
        lambda checker: checker.passwords.check("car-7s", b"ecret", "right:secret"),
    ],
    ids=["password", "user", "hash", "same letters"],
)
async def test_what_is_remembered_is_of_one_user_one_password_and_one_hash(
    checker: Checker, other: Callable[[Checker], "asyncio.Future[bool]"]
) -> None:
    assert await checker.check()
    assert not await other(checker)
    assert len(checker.hashed) == 2


async def test_what_is_remembered_is_bounded_and_holds_no_password(checker: Checker) -> None:
    checker.passwords._right.update({str(number).encode(): 1.0 for number in range(MAX_REMEMBERED)})
    assert await checker.check()
    assert len(checker.passwords._right) == MAX_REMEMBERED
    assert b"0" not in checker.passwords._right
    assert not any(b"secret" in key for key in checker.passwords._right)
    checker.now = 2.0
    assert await checker.check(stored="right:secret", name="car-9")
    assert len(checker.passwords._right) == 2


async def test_many_connections_with_the_same_question_are_hashed_once(checker: Checker) -> None:
    checker.go.clear()
    asked = [asyncio.create_task(checker.check()) for _ in range(100)]
    await eventually(lambda: _true(checker.hashed))
    # Some of them go away while they wait.
    for task in asked[:50]:
        task.cancel()
    checker.go.set()
    assert all(await asyncio.gather(*asked[50:]))
    assert len(checker.hashed) == 1


async def _true(value: object) -> bool:
    return bool(value)


async def test_where_too_many_wait_the_next_is_told_to_come_again(checker: Checker) -> None:
    asked = await checker.hold_up()
    # One of each user at a time is hashed, and nobody has more places than the next.
    waiting = [asyncio.create_task(checker.check(b"wrong", name=f"waits-{number}")) for number in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await checker.check(b"one more", name="waits-0")
    with pytest.raises(BusyError):
        await checker.check(name="nobody", stored=None)
    checker.go.set()
    assert await asyncio.gather(*asked, *waiting) == [False] * 6
    assert not await checker.check(b"one more")


async def test_who_has_most_places_loses_one_to_an_address_that_has_none(checker: Checker) -> None:
    await checker.hold_up()
    flood = [
        asyncio.create_task(checker.check(f"wrong {number}".encode(), name="known", address="192.0.2.1"))
        for number in range(4)
    ]
    await asyncio.sleep(0)
    other = asyncio.create_task(checker.check(name="car-7", address="192.0.2.2"))
    with pytest.raises(BusyError):
        await flood[3]
    checker.go.set()
    assert await other
    assert await asyncio.gather(*flood[:3]) == [False] * 3


async def test_addresses_take_turns_and_so_do_the_users_of_an_address(checker: Checker) -> None:
    passwords = Passwords(clock=lambda: 0.0, threads=1, max_waiting=100)
    checker.go.clear()
    asked = [
        asyncio.create_task(passwords.check(name, f"{name} {number}".encode(), "right:", address=address))
        for address, name, count in (("a", "known", 5), ("a", "other", 2), ("b", "car", 2), ("c", "phone", 1))
        for number in range(count)
    ]
    await eventually(lambda: _true(checker.hashed))
    checker.go.set()
    await asyncio.gather(*asked)
    assert [password.decode() for password in checker.hashed] == [
        "known 0",  # before anybody else had asked
        *("known 1", "car 0", "phone 0"),
        *("other 0", "car 1"),
        *("known 2", "other 1", "known 3", "known 4"),
    ]
    passwords.close()


async def test_unknown_users_cost_no_hashing_and_keep_nobody_waiting(checker: Checker) -> None:
    assert not await checker.check(name="nobody", stored=None), "the first says how long one takes"
    assert len(checker.hashed) == 1
    asked = [asyncio.create_task(checker.check(name=f"nobody-{number}", stored=None)) for number in range(200)]
    assert await checker.check()
    assert await asyncio.gather(*asked[:4]) == [False] * 4
    assert len(checker.hashed) == 2
    for task in asked:
        task.cancel()


async def test_an_unknown_user_waits_for_its_turn_and_as_long_as_a_check_has_taken(checker: Checker) -> None:
    loop = asyncio.get_running_loop()
    assert not await checker.check(name="nobody", stored=None)
    checker.passwords._took.clear()
    checker.passwords._took.append(0.3)
    began = loop.time()
    assert not await checker.check(name="nobody-2", stored=None)
    assert loop.time() - began >= 0.29
    # Those that wait for a thread are before it.
    await checker.hold_up()
    waiting = asyncio.create_task(checker.check(name="nobody-3", stored=None))
    checker.passwords._took.append(0.0)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    checker.go.set()
    assert not await waiting


async def test_an_unknown_user_that_repeats_itself_is_answered_as_a_wrong_password_is(checker: Checker) -> None:
    for _ in range(3):
        assert not await checker.check(name="nobody", stored=None)
    assert len(checker.hashed) == 1
    checker.now = REFUSED_SECONDS
    assert not await checker.check(name="nobody", stored=None)
    assert len(checker.hashed) == 2, "once in a while one is a real check, so that its time is known"


async def test_after_close_nobody_waits_for_ever(checker: Checker) -> None:
    asked = await checker.hold_up()
    asked += [asyncio.create_task(checker.check(name=f"waits-{number}")) for number in range(2)]
    await asyncio.sleep(0)
    checker.passwords.close()
    assert all(
        isinstance(answer, asyncio.CancelledError) for answer in await asyncio.gather(*asked, return_exceptions=True)
    )


async def test_the_event_loop_goes_on_while_passwords_are_hashed() -> None:
    checked = Passwords(clock=lambda: 0.0)
    stored = hash_password(b"secret")
    under_way = [asyncio.create_task(checked.check("car-7", f"wrong {number}".encode(), stored)) for number in range(4)]
    turns = 0
    while not all(task.done() for task in under_way):
        turns += 1
        await asyncio.sleep(0)
    assert turns > 100
    checked.close()
