"""Applications in versions: the rules, which HAProxy and the broker nodes follow, and what is known of what runs.

Keys of Redis:

    apps:{campus}          hash    application -> its rule (`core.versions.Route`, JSON)
    apps:slots:{campus}    hash    application -> its slot in HAProxy's maps, 1 to 16; given with its first rule
    apps:number:{campus}   string  one higher with each change of a rule, a place or a fault: who follows them asks for
                                   it
    apps:changes:{campus}  stream  the newest 100 changes of rules: `app`, `number`, `before` (empty for the first),
                                   `after` (empty where it was forgotten), `at` (ms), `by` (id of an API key,
                                   `controller` or `canary`), `why`
    apps:places:{campus}   hash    `application/version` -> its place in HAProxy, 1 to 16
    apps:seen:{campus}     string  what runs (`Seen`, JSON), from the platform. Expires: this is no registry of our own
    apps:figures:{campus}  hash    name of an HAProxy -> its counters (`Figures`, JSON)
    apps:canary:{campus}   hash    application -> its canary, running or the last one (`Canary`, JSON)
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast

import msgspec

from core.unreadable import UNREADABLE
from core.versions import MAX_APPS, Route, are_whole
from state.access import Right, access
from state.client import Redis
from state.lua import lua
from state.raised import number_of
from state.slots import CAMPUS, guard

ACCESS = {
    Right.READ: [
        access("apps:number:{campus} apps:seen:{campus}", "GET"),
        access("apps:{campus} apps:slots:{campus} apps:places:{campus} apps:canary:{campus}", "HGET HGETALL"),
        access("apps:changes:{campus}", "XREVRANGE"),
        # Of a HAProxy that has told nothing of late, whoever looks removes the counters.
        access("apps:figures:{campus}", "HGETALL HDEL"),
    ],
    Right.WRITE: [
        access(
            "apps:{campus} apps:number:{campus} apps:changes:{campus} apps:canary:{campus} apps:slots:{campus} "
            "apps:places:{campus}",
            "EVAL",
        ),
        access("apps:{campus} apps:canary:{campus} apps:slots:{campus}", "HGET HSET HVALS HDEL"),
        access("apps:places:{campus}", "HKEYS HSET HDEL DEL"),
        access("apps:number:{campus} apps:seen:{campus}", "INCR SET"),
        access("apps:changes:{campus}", "XADD"),
        access("apps:figures:{campus}", "HSET"),
        access("", "TIME"),
    ],
}
RULES = f"apps:{CAMPUS}"
SLOTS = f"apps:slots:{CAMPUS}"
NUMBER = f"apps:number:{CAMPUS}"
CHANGES = f"apps:changes:{CAMPUS}"
PLACES = f"apps:places:{CAMPUS}"
SEEN = f"apps:seen:{CAMPUS}"
FIGURES = f"apps:figures:{CAMPUS}"
CANARIES = f"apps:canary:{CAMPUS}"
CHANGES_KEPT = 100
"""Each may name a thousand users twice, some 100 kB."""
_CHANGES_READ = 16
"""Entries of the log that are asked for at once."""
SEEN_SECONDS = 15
"""After which nobody knows what runs."""
FIGURES_SECONDS = 30
"""After which the counters of an HAProxy are not believed any more."""
ANSWER_EDGES = (5, 10, 25, 50, 100, 250, 500, 1000, 2500)
"""Milliseconds: up to so much the answers took that HAProxy has counted together; those over the last are one more."""
MAX_PLACES = 16
"""Versions that run at one time, of all applications."""
Kind = TypeVar("Kind")


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One running container or pod of a version."""

    app: str
    version: str
    name: str
    address: str
    """IP address at which HAProxy reaches it."""
    port: int
    healthy: bool
    since: int
    """Milliseconds since the epoch: when it was started."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What runs, as the platform (Docker, Kubernetes) says."""

    at: int
    """Milliseconds since the epoch."""
    instances: tuple[Instance, ...]

    def healthy(self, app: str) -> dict[str, bool]:
        """The versions of an application that run, and whether an instance of each is healthy."""
        found: dict[str, bool] = {}
        for each in self.instances:
            if each.app == app:
                found[each.version] = found.get(each.version, False) or each.healthy
        return found


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What HAProxy has counted of one place since it was started."""

    answers: int = 0
    errors: int = 0
    """Answers 5xx, those that HAProxy gave itself among them."""
    by_time: tuple[int, ...] = ()
    """Answers by how long they took: up to each of `ANSWER_EDGES`, and longer."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one HAProxy has counted."""

    at: int
    """Milliseconds since the epoch."""
    started_at: int
    """Milliseconds since the epoch: counters begin anew when it is another."""
    places: Mapping[int, Counters]


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """Values that an instance has measured of itself since it was started; less is better."""

    count: int = 0
    sum: float = 0.0
    sum_of_squares: float = 0.0


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """A version on its way to all people, step by step, or back to none."""

    app: str
    version: str
    """The new one."""
    steps: tuple[int, ...]
    """Percent of each step."""
    hold_seconds: int
    hold_requests: int
    slower_by: int
    """Percentage points of slow answers that are let pass."""
    measure: str = ""
    """Path of a measure of the application's own, or empty."""
    by: str
    """The id of the API key that began it."""
    started_at: int
    """Milliseconds since the epoch, as are the two below."""
    number: int
    """Of the rule that it has written: where another one holds, somebody else has changed it, and the canary ends."""
    before: Mapping[str, int]
    """Shares to which it goes back."""
    step: int = 0
    """Index in `steps`."""
    step_at: int = 0
    """0: the controller has not begun yet."""
    state: Literal["running", "done", "back", "ended"] = "running"
    """`done`: all have the new version; `back`: nobody; `ended`: somebody else has changed the rule."""
    why: str = ""
    """A sentence: what it waits for, or why it is where it is."""
    baseline: Mapping[str, Figures] = {}
    """By HAProxy: what was counted when the step began."""
    measured: Mapping[str, Measure] = {}
    """By instance: what it had measured when the step began."""
    others: Counters = Counters()
    """What the other versions answered in the step before, which counts where they answer nothing any more."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a rule."""

    app: str
    at: int
    """Milliseconds since the epoch."""
    by: str
    why: str
    before: Route | None
    """None where it was the first, or nobody could read what was there."""
    after: Route | None
    """None where it was forgotten."""


class NoSlotError(Exception):
    """As many applications as can be have a rule already; the text says so."""


class AppStore:
    """Reads and writes what is above. All of its methods raise UnavailableError."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._put = client.register_script(lua("raise", "apps/current", "apps/put"))
        self._forget = client.register_script(lua("raise", "apps/current", "apps/forget"))
        self._put_places = client.register_script(lua("raise", "apps/put_places"))
        self._tell = client.register_script(lua("apps/tell"))

    async def number(self) -> int:
        """Another one whenever a rule or a place has changed; 0 for what is no number."""
        return number_of(cast("bytes | None", await self._client.get(NUMBER))) or 0

    async def routes(self) -> dict[str, Route]:
        """The rules by application."""
        found = cast("dict[bytes, bytes]", await cast("Any", self._client.hgetall(RULES)))
        return _readable((app, _route(text)) for app, text in found.items())

    async def route(self, app: str) -> Route | None:
        """The rule of an application; None where there is none."""
        text = await cast("Any", self._client.hget(RULES, app))
        return None if text is None else _route(text)

    async def slots(self) -> dict[str, int]:
        """The slots by application."""
        found = cast("dict[bytes, bytes]", await cast("Any", self._client.hgetall(SLOTS)))
        return _numbers(found)

    async def put(
        self, route: Route, *, replaces: int, by: str, at: int, why: str, canary: Canary | None = None
    ) -> bool:
        """Put a rule in the place of the one with the number `replaces` (0: there is none); False if another holds.

        A `canary` is written in the same step, so that the two never differ. What nobody can read is no rule. Raises
        NoSlotError.
        """
        change: dict[str, str | int] = {
            "app": route.app,
            "number": route.number,
            "after": _json(route),
            "at": at,
            "by": by,
            "why": why,
        }
        args: list[str | bytes | int] = [route.app, replaces, await self._unreadable(route.app, replaces)]
        args += [_json(route), CHANGES_KEPT, MAX_APPS, "" if canary is None else _json(canary)]
        args += [each for pair in change.items() for each in pair]
        answer = await self._put(keys=[guard(CAMPUS), RULES, NUMBER, CHANGES, CANARIES, SLOTS], args=args)
        if answer == -1:
            raise NoSlotError(
                f"{MAX_APPS} applications have a rule already: forget one that runs no more, "
                "DELETE /v1/apps/{its name}/route"
            )
        return bool(answer)

    async def forget(self, app: str, *, replaces: int, by: str, at: int, why: str) -> bool:
        """Forget rule, slot, places and canary of an application that runs no more; its changes stay, this among them.

        `replaces` is the number of its rule (0: there is none that can be read); False if another one holds.
        """
        change: dict[str, str | int] = {"app": app, "number": 0, "after": "", "at": at, "by": by, "why": why}
        args: list[str | bytes | int] = [app, replaces, await self._unreadable(app, replaces), CHANGES_KEPT]
        args += [each for pair in change.items() for each in pair]
        keys = [guard(CAMPUS), RULES, NUMBER, CHANGES, CANARIES, SLOTS, PLACES]
        return bool(await self._forget(keys=keys, args=args))

    async def _unreadable(self, app: str, replaces: int) -> bytes:
        """What is there and is no rule, where none is to be replaced; empty where nothing is."""
        there = None if replaces else cast("bytes | None", await cast("Any", self._client.hget(RULES, app)))
        return b"" if there is None or _route(there) is not None else there

    async def changes(self, app: str, count: int) -> list[Change]:
        """The changes of a rule that are kept, the newest first, at most `count`."""
        found: list[Change] = []
        newest: bytes = b"+"
        for _ in range(0, CHANGES_KEPT, _CHANGES_READ):
            entries = cast("Any", await self._client.xrevrange(CHANGES, max=newest, count=_CHANGES_READ))
            changes = (_change(fields) for _, fields in entries if fields.get(b"app") == app.encode())
            found += [change for change in changes if change is not None]
            if len(found) >= count or len(entries) < _CHANGES_READ:
                break
            newest = b"(" + entries[-1][0]
        return found[:count]

    async def places(self) -> dict[str, int]:
        """The place in HAProxy by `application/version`."""
        found = cast("dict[bytes, bytes]", await cast("Any", self._client.hgetall(PLACES)))
        return _numbers(found)

    async def put_places(self, places: Mapping[str, int]) -> None:
        """Replace all places. The controller alone does so."""
        args = [each for name, place in places.items() for each in (name, str(place))]
        await self._put_places(keys=[guard(CAMPUS), PLACES, NUMBER], args=args)

    async def seen(self) -> Seen | None:
        """What runs; None where nobody has looked for `SEEN_SECONDS`, or what is there cannot be read."""
        return _read(cast("bytes | None", await self._client.get(SEEN)), Seen)

    async def see(self, at: int, instances: Sequence[Instance]) -> None:
        """Say what runs."""
        await self._client.set(SEEN, _json(Seen(at=at, instances=tuple(instances))), ex=SEEN_SECONDS)

    async def figures(self, now: int) -> dict[str, Figures]:
        """The counters by HAProxy, of those that have counted of late."""
        found = cast("dict[bytes, bytes]", await cast("Any", self._client.hgetall(FIGURES)))
        decoded = _readable((name, _read(text, Figures)) for name, text in found.items())
        old = [name for name, figures in decoded.items() if now - figures.at > FIGURES_SECONDS * 1000]
        if old:
            await cast("Any", self._client.hdel(FIGURES, *old))
        return {name: figures for name, figures in decoded.items() if name not in old}

    async def count(self, name: str, figures: Figures) -> None:
        """Say what an HAProxy has counted."""
        await cast("Any", self._client.hset(FIGURES, name, _json(figures)))

    async def canary(self, app: str) -> Canary | None:
        """The canary of an application, running or the last one."""
        return _read(await cast("Any", self._client.hget(CANARIES, app)), Canary)

    async def canaries(self) -> dict[str, Canary]:
        """All of them by application."""
        found = cast("dict[bytes, bytes]", await cast("Any", self._client.hgetall(CANARIES)))
        return _readable((app, _read(text, Canary)) for app, text in found.items())

    async def tell(self, canary: Canary) -> bool:
        """Replace what is said of a canary that runs, and leave the rule as it is. The controller alone does so.

        False where it has ended, has gone on or has been replaced since it was read.
        """
        args: list[str | int] = [canary.app, canary.started_at, canary.number, _json(canary)]
        return bool(await self._tell(keys=[guard(CAMPUS), CANARIES], args=args))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _read(text: bytes | None, kind: type[Kind]) -> Kind | None:
    """None for what no service of ours wrote: it is as if it were not there."""
    try:
        return None if text is None else msgspec.json.decode(text, type=kind)
    except UNREADABLE:
        return None


def _route(text: bytes) -> Route | None:
    """None for what no service of ours wrote: it is as if there were no rule."""
    route = _read(text, Route)
    return route if route is not None and route.number > 0 and are_whole(route.owned) else None


def _readable(found: Iterable[tuple[bytes, Kind | None]]) -> dict[str, Kind]:
    return {name.decode(errors="replace"): value for name, value in found if value is not None}


def _numbers(found: Mapping[bytes, bytes]) -> dict[str, int]:
    return _readable((name, number_of(text)) for name, text in found.items())


def _change(fields: dict[bytes, bytes]) -> Change | None:
    """None for what no service of ours wrote; it goes with the oldest changes."""
    try:
        return Change(
            app=fields[b"app"].decode(),
            at=int(fields[b"at"]),
            by=fields[b"by"].decode(),
            why=fields[b"why"].decode(),
            before=msgspec.json.decode(fields[b"before"], type=Route) if fields[b"before"] else None,
            after=msgspec.json.decode(fields[b"after"], type=Route) if fields[b"after"] else None,
        )
    except (KeyError, *UNREADABLE):
        return None
