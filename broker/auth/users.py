"""Who may log in: users in Redis, and whether a client is the user that it says it is."""

import asyncio
from collections.abc import Callable, Mapping

import msgspec
import structlog

from broker.auth.passwords import BusyError, Passwords, hash_problem
from core.kinds import Kinds, Role
from core.names import name_problem
from runtime.addresses import network_of
from runtime.log_throttle import LogThrottle
from state.client import Redis
from state.users import USERS, UserStore

__all__ = ["Authenticator", "BusyError", "User", "Users"]

_log = structlog.stdlib.get_logger("users")


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One user, as Redis holds it. Its repr tells no hash."""

    name: str
    role: str
    """The name of its role: one of a kind that has gone lets nobody in."""
    password: str
    """The argon2id hash, in PHC form."""

    def __post_init__(self) -> None:
        """Raise ValueError for a user that cannot be one."""
        problem = name_problem(self.name) or hash_problem(self.password)
        if self.role == Role.ANONYMOUS.name:
            problem = f"nobody can be given the role {self.role}"
        if problem:
            raise ValueError(problem)

    def __repr__(self) -> str:
        return f"User(name={self.name!r}, role={self.role!r})"


class Users(UserStore[User]):
    """The users in Redis."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client, key=USERS, kind=User, name_of=lambda user: user.name)


class Authenticator:
    """Decides who a client is, for one node.

    It asks Redis for the user at each login, in one command for all that come in one turn of the event loop, and
    remembers for a while which passwords were right: so a storm of clients that come back costs little.
    """

    def __init__(
        self,
        *,
        users: Users,
        kinds: Kinds,
        allow_anonymous: bool,
        clock: Callable[[], float],
        passwords: Passwords | None = None,
    ) -> None:
        """`clock` gives seconds and never goes back; its zero is any."""
        self._users = users
        self._kinds = kinds
        self._allow_anonymous = allow_anonymous
        self._throttle = LogThrottle(clock)
        self._passwords = passwords or Passwords(clock=clock)
        self._asked: set[str] = set()
        self._asking: asyncio.Task[dict[str, User]] | None = None
        self._changes = 0
        # What each user was let in as; None where that was several things, of which only the last holds.
        self._let_in: dict[str, User | None] = {}

    async def authenticate(self, name: str | None, password: bytes | None, *, address: str = "") -> Role | None:
        """The role of a client with this user name and password; None if it is refused. `address` is its own.

        Without a name it is ANONYMOUS, where that is allowed; with one, it has to be a user, the password right, and
        its role one of the table of kinds. Name and password that are both empty are none: apps send them so whose
        fields nobody has filled in.
        An unknown user takes as long as a wrong password. Raises BusyError where the client should try again later, and
        UnavailableError where Redis does not answer.
        """
        if name is None or not (name or password):
            return Role.ANONYMOUS if self._allow_anonymous else None
        if password is None or name_problem(name):
            return None
        while True:
            changes = self._changes
            user = await self._ask(name)
            stored = user.password if user else None
            right = await self._passwords.check(name, password, stored, address=network_of(address))
            if not right or user is None:
                return None
            role = self._kinds.role_by_name.get(user.role)
            if role is None:
                # It stays as it is: another table may have its kind again.
                if self._throttle.lets_through(user.role):
                    # Not which user: most are devices (law 4, no trace).
                    _log.warning("no kind of KINDS_FILE has the role of a user: refused", role=user.role)
                return None
            # Where users have changed meanwhile, this one may be gone, and `changed` could not know of this login.
            if changes == self._changes:
                self._let_in[name] = user if self._let_in.get(name, user) == user else None
                return role

    async def role_of(self, name: str) -> Role | None:
        """The role of the user of that name; None where there is none, or no kind of KINDS_FILE has its role.

        Raises UnavailableError where Redis does not answer.
        """
        user = None if name_problem(name) else await self._ask(name)
        return self._kinds.role_by_name.get(user.role) if user else None

    async def changed(self, connected: Mapping[str, Role]) -> set[str]:
        """The users who must go: they were removed, or have another role or another password.

        To be called after `users:version` moved, with the users of all connections, without the anonymous ones. All
        connections of the users that it gives have to end, those that were made meanwhile as well; some of the users
        may have none. Raises UnavailableError where Redis does not answer: then it is to be called again.
        """
        self._changes += 1
        roles, let_in = dict(connected), dict(self._let_in)
        # Who was let in a moment ago need not be among the connected yet.
        names = roles.keys() | let_in.keys()
        present = await self._users.get(list(names))
        gone = {
            name
            for name in names
            if (user := present.get(name)) is None
            or user != let_in.get(name)
            or (name in roles and user.role != roles[name].name)
        }
        for name in names:
            if name in gone or name not in roles:
                self._let_in.pop(name, None)
        return gone

    def close(self) -> None:
        """Hash nothing more; whoever still waits for that is cancelled."""
        self._passwords.close()

    async def _ask(self, name: str) -> User | None:
        self._asked.add(name)
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask_redis(), name="users")
        # Shielded: others wait for the same answer.
        return (await asyncio.shield(self._asking)).get(name)

    async def _ask_redis(self) -> dict[str, User]:
        # Whoever asks from here on asks with the next command.
        asked = list(self._asked)
        self._asked.clear()
        self._asking = None
        return await self._users.get(asked)
