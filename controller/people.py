"""API keys and the roles of their users, as far as HAProxy has to know them."""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from controller.maps import Person
from state.api_keys import API_KEYS, KeyStore
from state.client import Redis
from state.users import USERS, UserStore

_HASH: Final = re.compile("[0-9a-f]{64}")
_ID: Final = re.compile("[0-9a-f]{16}")


class _Key(msgspec.Struct, frozen=True):
    id: str
    hash: str
    user: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for what can stand in no map."""
        if not _HASH.fullmatch(self.hash) or not _ID.fullmatch(self.id):
            raise ValueError("no id, or no hash, of a key")


class _User(msgspec.Struct, frozen=True):
    name: str
    role: str


class People:
    """Reads them in Redis."""

    def __init__(self, client: Redis) -> None:
        self._keys: KeyStore[_Key] = KeyStore(client, key=API_KEYS, kind=_Key, name_of=lambda key: key.id)
        self._users: UserStore[_User] = UserStore(client, key=USERS, kind=_User, name_of=lambda user: user.name)

    async def read(self) -> list[Person]:
        """Each key, and whose it is. Raises UnavailableError."""
        keys = await self._keys.all()
        roles = await self._roles({key.user for key in keys if key.user})
        return [Person(key.id, key.hash, key.user, roles.get(key.user, "")) for key in keys]

    async def _roles(self, names: Iterable[str]) -> dict[str, str]:
        return {name: user.role for name, user in (await self._users.get(sorted(names))).items()}
