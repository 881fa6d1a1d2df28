"""Which version of an application somebody gets: a rule, and the one function that decides by it.

HAProxy decides in the same way, with converters (`haproxy/haproxy.cfg`), and a broker node with this module: so a
person sees one version, over REST and over MQTT, without the two asking each other.

A person falls into one of 10,000 *buckets* of an application. The rule (`Route`) says which version owns which buckets.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha1
from itertools import pairwise
from typing import Final

import msgspec

BUCKETS: Final = 10_000
BUCKETS_A_PERCENT: Final = BUCKETS // 100
MAX_VERSIONS: Final = 8
MAX_USERS: Final = 1000
"""Users that one rule names."""
MAX_USER_CHARACTERS: Final = 128
MAX_HEADER_VALUES: Final = 100
MAX_HEADER_VALUE_CHARACTERS: Final = 64
HEADERS: Final = ("X-Campus-Version", "X-Campus-Group")
"""Headers by which a rule may choose: HAProxy cannot look one up whose name stands in a map."""
MAX_APPS: Final = 16
"""Applications with a rule, `api` and `broker` among them: HAProxy has so many slots for them."""
API: Final = "api"
BROKER: Final = "broker"
NEXT: Final = "next"
"""The version of `api` and `broker` that runs beside the present one; any other name is the present one."""
SYSTEM: Final = (API, BROKER)
"""Services of this system that may have two versions; they are no applications of others."""
APP_PATTERN: Final = "[a-z][a-z0-9-]{0,31}"
VERSION_PATTERN: Final = "[a-z0-9][a-z0-9.-]{0,31}"
PUBLIC: Final = "apps"
"""First level of the topics, and of the paths, under which people see an application."""
WIRE: Final = "app-versions"
"""First level of the topics below which an application publishes: `app-versions/update-schuman/2/latest`."""
APP_LABEL, VERSION_LABEL, PORT_LABEL = "campus.app", "campus.version", "campus.port"
"""Labels of a container that is an instance of an application; a Service in Kubernetes needs the first two."""
_APP = re.compile(APP_PATTERN, re.ASCII)
_VERSION = re.compile(VERSION_PATTERN, re.ASCII)
_WIRE_LEVELS = 4


def bucket_of(app: str, person: str) -> int:
    """The bucket of a person, 0 to 9999, from the first 32 bits of SHA-1 of `app/person`."""
    digest = sha1(f"{app}/{person}".encode("utf-8", "surrogateescape"), usedforsecurity=False)
    return int(digest.hexdigest()[:8], 16) % BUCKETS


class Owned(msgspec.Struct, frozen=True, array_like=True):
    """Neighbouring buckets that one version owns."""

    first: int
    end: int
    """The bucket after the last of them."""
    version: str


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Who gets which version of an application: the rule that holds at present.

    `shares` add up to 100; `owned` says the same by bucket, so that a share that grows takes over no more people than
    it has to. A user in `users` gets their version whatever else holds; then `headers`, then `roles`, then the bucket.
    """

    app: str
    number: int
    """One higher with each change; the first rule is 1."""
    shares: Mapping[str, int]
    """Percent by version. A version with 0 is known, and gets nobody but whom another part names."""
    owned: tuple[Owned, ...]
    """All buckets, in their order."""
    users: Mapping[str, str] = {}
    """Version by the name of an MQTT user, or of the user of an API key."""
    roles: Mapping[str, str] = {}
    """Version by role (`mobile`, `gateway`, ...)."""
    headers: Mapping[str, Mapping[str, str]] = {}
    """Version by header and its value. They hold for a request over HTTP, not over MQTT."""
    move: bool = False
    """Of brokers: whether connections to a version that nobody is meant to get are ended, a tenth each second."""

    def version_for(self, person: str, *, role: str = "", headers: Mapping[str, str] | None = None) -> str:
        """The version that a person gets. `headers` are those of a request, by their names as in `HEADERS`."""
        if (version := self.users.get(person)) is not None:
            return version
        for name, value in (headers or {}).items():
            if (version := self.headers.get(name, {}).get(value)) is not None:
                return version
        if (version := self.roles.get(role)) is not None:
            return version
        return self.owner_of(bucket_of(self.app, person))

    def owner_of(self, bucket: int) -> str:
        """The version that owns a bucket."""
        return next(owned.version for owned in self.owned if bucket < owned.end)

    @property
    def versions(self) -> frozenset[str]:
        """All versions that anybody may get by it."""
        named = (*self.users.values(), *self.roles.values(), *(v for by in self.headers.values() for v in by.values()))
        return frozenset({*(version for version, share in self.shares.items() if share), *named})


def first_route(app: str, version: str) -> Route:
    """The rule of an application of which one version is known: all get it."""
    return Route(app=app, number=1, shares={version: 100}, owned=(Owned(0, BUCKETS, version),))


def changed(
    route: Route,
    *,
    shares: Mapping[str, int],
    users: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
    headers: Mapping[str, Mapping[str, str]] | None = None,
    move: bool = False,
) -> Route:
    """The rule that comes after `route`; None leaves a part as it was.

    Where `shares` are none that can be, all buckets stay where they are, and `problems_of` says what is wrong.
    """
    possible = sum(shares.values()) == 100 and min(shares.values()) >= 0  # noqa: PLR2004 - percent
    return Route(
        app=route.app,
        number=route.number + 1,
        shares=shares,
        owned=moved(route.owned, shares) if possible else route.owned,
        users=route.users if users is None else users,
        roles=route.roles if roles is None else roles,
        headers=route.headers if headers is None else headers,
        move=move,
    )


def moved(owned: Sequence[Owned], shares: Mapping[str, int]) -> tuple[Owned, ...]:
    """Buckets for new shares: who loses gives, who wins takes, and nobody else gets another version.

    Who loses gives the last of its buckets; those with the lowest numbers go to the first version in `shares` that
    lacks some. `shares` must add up to 100.
    """
    surplus = {
        version: sum(each.end - each.first for each in owned if each.version == version)
        - shares.get(version, 0) * BUCKETS_A_PERCENT
        for version in {each.version for each in owned} | set(shares)
    }
    kept: list[Owned] = []
    free: list[tuple[int, int]] = []
    for each in reversed(owned):
        gives = min(max(surplus[each.version], 0), each.end - each.first)
        surplus[each.version] -= gives
        if gives:
            free.append((each.end - gives, each.end))
        if each.end - gives > each.first:
            kept.append(Owned(each.first, each.end - gives, each.version))
    lacking = {version: -surplus[version] for version in shares if surplus[version] < 0}
    for start, end in sorted(free):
        first = start
        for version in [version for version, count in lacking.items() if count]:
            takes = min(lacking[version], end - first)
            if takes:
                kept.append(Owned(first, first + takes, version))
                lacking[version] -= takes
                first += takes
    return _merged(sorted(kept, key=lambda each: each.first))


def shares_with(before: Mapping[str, int], version: str, share: int) -> dict[str, int]:
    """Shares in percent where a version has `share`, and the others have the rest, as they had it `before`.

    Raises ValueError where no other version had any.
    """
    others = {name: percent for name, percent in before.items() if name != version}
    had, rest = sum(others.values()), 100 - share
    if not had:
        raise ValueError(f"nobody but {version} has a share: there is nothing to take from or to give back")
    exact = {name: percent * rest / had for name, percent in others.items()}
    found = {name: int(value) for name, value in exact.items()}
    # What rounding left goes to those who lost most by it.
    for name in sorted(exact, key=lambda name: found[name] - exact[name])[: rest - sum(found.values())]:
        found[name] += 1
    return {**found, version: share}


def _merged(owned: Sequence[Owned]) -> tuple[Owned, ...]:
    found: list[Owned] = []
    for each in owned:
        if found and found[-1].version == each.version and found[-1].end == each.first:
            found[-1] = Owned(found[-1].first, each.end, each.version)
        else:
            found.append(each)
    return tuple(found)


def problems_of(route: Route, *, healthy: Mapping[str, bool], roles: Collection[str], force: bool = False) -> list[str]:
    """What is wrong with a rule, a sentence each that says what to do; empty where all is well.

    `healthy` has each version that has been seen, and whether an instance of it is healthy now. `force` lets people go
    to a version of which none is.
    """
    # Nobody who asks by the API can bring about the last of them.
    gaps = [] if are_whole(route.owned) else ["the buckets of the rule have gaps: this is a defect, please report it"]
    return [
        *_wrong_shares(route),
        *_wrong_versions(route, healthy, force=force),
        *_wrong_choices(route, roles),
        *gaps,
    ]


def _wrong_shares(route: Route) -> list[str]:
    found = []
    if not _APP.fullmatch(route.app):
        found.append(
            f"{route.app[:40]!r} is no name of an application: take a small letter, then up to 31 small letters, "
            "digits and hyphens"
        )
    for version, share in route.shares.items():
        if not 0 <= share <= 100:  # noqa: PLR2004 - percent
            found.append(f"the share of {version[:40]!r} is {share}: take a whole number from 0 to 100")
    if (total := sum(route.shares.values())) != 100:  # noqa: PLR2004 - percent
        found.append(f"the shares add up to {total}: they have to add up to 100")
    if len(route.shares) > MAX_VERSIONS:
        found.append(f"{len(route.shares)} versions are too many: take {MAX_VERSIONS} at the most")
    return found


def _wrong_versions(route: Route, healthy: Mapping[str, bool], *, force: bool) -> list[str]:
    found = []
    for version in sorted({*route.shares, *route.versions}):
        if not _VERSION.fullmatch(version):
            found.append(
                f"{version[:40]!r} is no name of a version: take up to 32 small letters, digits, dots and hyphens"
            )
        elif version not in healthy:
            seen = ", ".join(sorted(healthy)) or "none"
            found.append(f"nobody has seen version {version!r} of {route.app}: start it first (seen: {seen})")
        elif version in route.versions and not healthy[version] and not force:
            found.append(f"no instance of {route.app} {version} is healthy: start one, or ask with force=true")
    return found


def _wrong_choices(route: Route, roles: Collection[str]) -> list[str]:
    found = []
    if len(route.users) > MAX_USERS:
        found.append(f"{len(route.users)} users are too many: name {MAX_USERS} at the most, and choose others by role")
    found += [problem for user in route.users if (problem := user_problem(user))]
    found += [
        f"{role[:40]!r} is no role: take one of {', '.join(sorted(roles))}" for role in route.roles if role not in roles
    ]
    for name, by_value in route.headers.items():
        if name not in HEADERS:
            found.append(f"{name[:40]!r} is no header to choose by: take {' or '.join(HEADERS)}")
        if len(by_value) > MAX_HEADER_VALUES:
            found.append(f"{len(by_value)} values of {name[:40]} are too many: take {MAX_HEADER_VALUES} at the most")
        found += [
            f"{value[:40]!r} is no value of a header to choose by: take 1 to {MAX_HEADER_VALUE_CHARACTERS} letters, "
            "digits, dots, underscores and hyphens"
            for value in by_value
            if not re.fullmatch(f"[A-Za-z0-9._-]{{1,{MAX_HEADER_VALUE_CHARACTERS}}}", value, re.ASCII)
        ]
    if problem := move_problem(route):
        found.append(problem)
    if route.app == BROKER and (route.roles or route.headers):
        found.append(
            "a broker cannot be chosen by role or header, for a node is chosen before a client has logged in: "
            "name users, or take shares alone"
        )
    return found


def move_problem(route: Route) -> str | None:
    """Why nothing could be moved by a rule that asks for it; None where it can, or does not ask."""
    if route.move and route.app != BROKER:
        return f"move is for connections to brokers, which last: a request to {route.app} gets its version at once"
    if route.move and len({version == NEXT for version in route.versions}) > 1:
        return (
            f"move ends connections to a version that nobody gets, and people get both {NEXT} and another: give 100 to "
            "one of them, and name no users for the other, or leave move out"
        )
    return None


def user_problem(user: str) -> str | None:
    """Why nobody's version can be chosen by this name of a user; None where it can."""
    if 1 <= len(user) <= MAX_USER_CHARACTERS and user.isprintable() and not {"|", " "} & {*user}:
        return None
    return (
        f"{user[:40]!r} is no name of a user: take 1 to {MAX_USER_CHARACTERS} printed characters without spaces and '|'"
    )


def are_whole(owned: Sequence[Owned]) -> bool:
    """Whether each bucket has just one owner, in their order: HAProxy and the broker could follow nothing else."""
    whole = bool(owned) and owned[0].first == 0 and owned[-1].end == BUCKETS
    return whole and all(a.end == b.first for a, b in pairwise(owned)) and all(each.first < each.end for each in owned)


def public_name(topic: str) -> tuple[str, str, str] | None:
    """Of a topic below which applications publish: the topic that people see, the application, the version.

    `app-versions/update-schuman/2/latest` is `apps/update-schuman/latest`. None for any other topic, and where a level
    is missing or is no such name.
    """
    levels = topic.split("/", _WIRE_LEVELS - 1)
    if levels[0] != WIRE or len(levels) != _WIRE_LEVELS:
        return None
    _, app, version, rest = levels
    if not rest or not _APP.fullmatch(app) or not _VERSION.fullmatch(version):
        return None
    return f"{PUBLIC}/{app}/{rest}", app, version


def wire_name(topic: str, version: str) -> str:
    """The topic below which a version publishes what people see as `topic`, which begins with `apps/`."""
    _, app, rest = topic.split("/", 2)
    return f"{WIRE}/{app}/{version}/{rest}"
