"""Things of somebody, as small as they can be."""

import msgspec

from core.versions import BUCKETS, Owned, Route


class Somebody(msgspec.Struct, frozen=True):
    """A user, or a key."""

    name: str


def rule() -> Route:
    """All people get the one version of an application."""
    return Route(app="shop", number=1, shares={"1": 100}, owned=(Owned(0, BUCKETS, "1"),))
