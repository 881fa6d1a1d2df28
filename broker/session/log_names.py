"""What the log calls a client. A device's name is its id, which the log has not: law 4, no trace."""

import secrets
from hashlib import blake2b

from core.kinds import Role

SHOWN = 64
"""Characters of a name."""
KEY_BYTES = 16
_DIGEST_BYTES = 4


class LogNames:
    """Those of one life of a node.

    Its key is nowhere else, so nobody comes from a line to a device, nor from one life to another. Within it lines
    about one device can be told from lines about many.
    """

    def __init__(self, key: bytes = b"") -> None:
        """`key` is KEY_BYTES at random unless it is given."""
        self._key = key or secrets.token_bytes(KEY_BYTES)

    def shown(self, user: str, role: Role) -> str:
        """The name of a user that is no device, cut where it is long; of a device a word that stands for it."""
        if role.kind is None:
            return user[:SHOWN]
        return f"device-{blake2b(user.encode(), key=self._key, digest_size=_DIGEST_BYTES).hexdigest()}"
