"""What could not be used, and why, as Redis keeps it: left by the stages; read, replayed and dropped by people.

    dead:{p}       stream  the dead letters (`core.messages.DeadLetter`) of a partition: its share of the newest
                           DEAD_LETTERS_MAX, for DEAD_LETTERS_KEEP
    dead:{mqtt}    stream  those of a key of the brokers that was set aside (`state.key_types`)
    dead:{campus}  stream  those of all else that lies in no partition

Counted in `totals` beside them (`state.totals`). A letter's id is that of its entry, with `@` and the partition behind
it unless that is the first: `1772366400000-0`, `1772366400000-0@2`, `1772366400000-0@campus`.
"""

import heapq
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from core.clock import EARLIEST_MS, LATEST_MS
from core.errors import Reason
from core.messages import DeadLetter, RawMessage
from state.access import Right, access
from state.client import Redis
from state.entries import encode_entry, group_of
from state.lua import lua
from state.raw import keys_of
from state.raw_redis import all_redis
from state.sealing import Fields, sealing_of
from state.slots import CAMPUS, MQTT, guard, tag
from state.totals import DEAD_TOTAL, DROPPED, EXPIRED, REPLAYED, added_up, dead_key, totals_key

_DEAD, _TOTALS = "dead:{p} dead:{mqtt} dead:{campus}", "totals:{p} totals:{mqtt} totals:{campus}"
ACCESS = {
    Right.READ: [access(_DEAD, "XLEN XRANGE XREVRANGE"), access(_TOTALS, "HGETALL")],
    Right.TELL: [
        access(f"{_DEAD} {_TOTALS}", "EVAL"),
        access(_DEAD, "XADD XTRIM"),
        access(_TOTALS, "HLEN HINCRBY HSET"),
    ],
    Right.ERASE: [
        access(f"{_DEAD} {_TOTALS}", "EVAL"),
        access(_DEAD, "XRANGE XDEL"),
        access(_TOTALS, "HINCRBY HSET"),
    ],
    # To replay one puts its message into `raw` again.
    Right.WRITE: [
        access(f"{_DEAD} {_TOTALS} raw:{{p}}", "EVAL"),
        access(_DEAD, "XRANGE XDEL"),
        access(_TOTALS, "HINCRBY HSET"),
        access("raw:{p}", "XADD"),
    ],
}
BATCH = 100
"""Letters to a round trip: with payloads of the largest size they are 9 MB."""
FIRST, LAST = "-", "+"
_ID = re.compile(r"(\d{1,20}-\d{1,20})(?:@(campus|mqtt|\d{1,4}s?))?", re.ASCII)

Found = tuple[str, DeadLetter]
"""A dead letter with its id."""


@dataclass(frozen=True, slots=True)
class Which:
    """Which letters are meant; what is None does not matter."""

    reason: Reason | None = None
    since: int | None = None
    """Received at this time or later, in milliseconds since the epoch."""
    before: int | None = None
    """Received before this time, in milliseconds since the epoch."""

    def matches(self, letter: DeadLetter) -> bool:
        """Whether a letter is meant."""
        return (
            (self.reason is None or letter.reason is self.reason)
            and (self.since is None or letter.received_at >= self.since)
            and (self.before is None or letter.received_at < self.before)
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """How many dead letters there are and were."""

    ever: dict[str, int]
    """Added, by reason, in alphabetical order."""
    kept: int
    replayed: int
    dropped: int
    """By hand."""
    expired: int
    """Older than DEAD_LETTERS_KEEP."""

    @property
    def capped(self) -> int:
        """Pushed out by newer ones, once there were DEAD_LETTERS_MAX."""
        return max(0, sum(self.ever.values()) - self.kept - self.replayed - self.dropped - self.expired)


class _Home:
    """A Redis that has dead letters."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.add = client.register_script(lua("totals", "dead_letters"))
        self.take = client.register_script(lua("totals", "take_dead_letter"))
        self.expire = client.register_script(lua("expire_dead_letters"))


class _Place(NamedTuple):
    """A stream of dead letters."""

    home: _Home
    name: str
    """What follows the ids of its letters."""
    guard: str
    dead: str
    totals: str


def share(dead_letters_max: int, partitions: int) -> int:
    """How many letters one partition keeps, where all of them keep so many."""
    return math.ceil(dead_letters_max / partitions)


def is_letter_id(text: str) -> bool:
    """Whether a text looks like the id of a letter."""
    return _ID.fullmatch(text) is not None


class DeadLetters:
    """The dead letters of all partitions, as one.

    Whatever it is asked raises UnavailableError if Redis does not answer.
    """

    def __init__(self, client: Redis, *, partitions: int) -> None:
        self._partitions = partitions
        self._sealing = sealing_of(client)
        tags = {"" if number == 0 else f"@{number}": tag(number, partitions) for number in range(partitions)}
        self._homes = [_Home(each) for each in all_redis(client)]
        first, last = self._homes[-1], self._homes[0]
        self._places = [_place(first, name, own) for name, own in tags.items()]
        if first is not last:
            # What could not be read, or was set aside, beside what is known of devices.
            self._places += [_place(last, f"{name or '@0'}s", own) for name, own in tags.items()]
        self._places += [_place(last, name, own) for name, own in (("@mqtt", MQTT), ("@campus", CAMPUS))]
        self._by_name = {place.name: place for place in self._places}

    async def add(self, letters: Iterable[DeadLetter], maximum: int, *, partition: int | None = None) -> None:
        """Keep letters of a partition, or of what lies in none, and count them; all or none.

        `maximum` of its letters are kept at the most.
        """
        place = self._places[-1 if partition is None else partition]
        args: list[Any] = [maximum]
        for letter in letters:
            fields = letter.encode()
            if self._sealing is not None:
                fields = await self._sealing.sealed_letter(fields)
            args += [f"{DEAD_TOTAL}{letter.reason}", 2 * len(fields)]
            args += [text for pair in fields.items() for text in pair]
        await place.home.add(keys=[place.guard, place.dead, place.totals], args=args)

    async def kept(self) -> Kept:
        """How many there are and were."""
        lengths, totals = 0, []
        for home in self._homes:
            async with home.client.pipeline(transaction=False) as pipeline:
                for place in self._places:
                    if place.home is home:
                        pipeline.xlen(place.dead)
                        pipeline.hgetall(place.totals)
                answers = await pipeline.execute()
            lengths += sum(answers[::2])
            totals += answers[1::2]
        counted = Counter(added_up(totals))
        return Kept(
            ever={
                name.removeprefix(DEAD_TOTAL): count
                for name, count in sorted(counted.items())
                if name.startswith(DEAD_TOTAL)
            },
            kept=lengths,
            replayed=counted[REPLAYED],
            dropped=counted[DROPPED],
            expired=counted[EXPIRED],
        )

    async def expire(self, before: int) -> int:
        """Remove what was left before a time (milliseconds since the epoch), for ever; how many."""
        expired = 0
        for place in self._places:
            left = 1
            while left:
                answer = await place.home.expire(keys=[place.guard, place.dead, place.totals], args=[before, EXPIRED])
                some, left = cast("tuple[int, int]", answer)
                expired += some
        return expired

    async def newest(self, which: Which) -> AsyncIterator[Found]:
        """The letters that are meant, the newest first, wherever they lie."""
        sources = [self._backwards(place) for place in self._places]
        waiting: list[tuple[tuple[int, int], int, Found]] = []
        for number, source in enumerate(sources):
            await _push(waiting, number, source)
        while waiting:
            _, number, found = heapq.heappop(waiting)
            if which.matches(found[1]):
                yield found
            await _push(waiting, number, sources[number])

    async def batches(self, which: Which) -> AsyncIterator[list[Found]]:
        """The letters that are meant, the oldest of each partition first; none that is left after this began."""
        async for page in self._pages():
            found = [letter for letter in (_decoded(place, entry) for place, entry in page) if which.matches(letter[1])]
            yield found

    async def named(self, letter_ids: Sequence[str]) -> list[Found]:
        """The letters with these ids, as far as they are there."""
        found: list[Found] = []
        for place, entry_id in filter(None, map(self._place_of, letter_ids)):
            answer = cast("list[Any]", await place.home.client.xrange(place.dead, entry_id, entry_id))
            found += [_decoded(place, entry) for entry in await self._opened(answer)]
        return found

    async def replay(self, letters: Iterable[Found]) -> int:
        """Put the messages of letters back into `raw`, each in place of its letter; how many.

        A letter whose payload was not kept stays, and so does nothing of one that somebody else has taken meanwhile. It
        is safe to do this again after a failure: a letter is gone if and only if its message is in a stream. A message
        goes into the partition of its letter.
        """
        calls = []
        for letter_id, letter in letters:
            found = self._place_of(letter_id)
            if letter.payload is None or found is None or found[0] not in self._places[: self._partitions]:
                continue
            place, entry_id = found
            message = RawMessage(letter.topic, letter.user, letter.role, letter.received_at, letter.payload)
            raw = keys_of(self._places.index(place), self._partitions).raw
            entry = encode_entry([group_of(message)])
            if self._sealing is not None:
                ((entry,), _) = await self._sealing.sealed([entry])
            calls.append((place, [raw], [entry_id, REPLAYED, entry.batch]))
        return await self._take(calls)

    async def drop(self, letter_ids: Iterable[str]) -> int:
        """Remove letters for ever; how many."""
        found = filter(None, map(self._place_of, letter_ids))
        return await self._take([(place, [], [entry_id, DROPPED]) for place, entry_id in found])

    async def _take(self, calls: Sequence[tuple[_Place, list[str], list[Any]]]) -> int:
        taken = 0
        for home in self._homes:
            async with home.client.pipeline(transaction=False) as pipeline:
                for place, raw, args in calls:
                    if place.home is home:
                        await home.take(keys=[place.guard, place.dead, place.totals, *raw], args=args, client=pipeline)
                taken += sum(await pipeline.execute())
        return taken

    async def raw_fields(self) -> AsyncIterator[list[tuple[str, Mapping[bytes, bytes]]]]:
        """Ids and fields of all letters, in pages, as they are: whoever erases looks at what nobody can decode, too."""
        async for page in self._pages():
            yield [(entry_id.decode() + place.name, fields) for place, (entry_id, fields) in page]

    async def _pages(self) -> AsyncIterator[list[tuple[_Place, Any]]]:
        for place in self._places:
            end = cast("list[Any]", await place.home.client.xrevrange(place.dead, count=1))
            first = FIRST
            while end:
                page = cast("list[Any]", await place.home.client.xrange(place.dead, first, end[0][0], count=BATCH))
                if not page:
                    break
                yield [(place, entry) for entry in await self._opened(page)]
                first = f"({page[-1][0].decode()}"

    async def _backwards(self, place: _Place) -> AsyncIterator[Found]:
        last = LAST
        while True:
            page = cast("list[Any]", await place.home.client.xrevrange(place.dead, last, FIRST, count=BATCH))
            if not page:
                return
            for entry in await self._opened(page):
                yield _decoded(place, entry)
            last = f"({page[-1][0].decode()}"

    async def _opened(self, entries: Sequence[tuple[bytes, Fields]]) -> Sequence[tuple[bytes, Fields]]:
        return entries if self._sealing is None else await self._sealing.opened_letters(entries)

    def _place_of(self, letter_id: str) -> tuple[_Place, str] | None:
        entry_id, at, name = letter_id.partition("@")
        number = "" if name == "0" else at + name
        return (self._by_name[number], entry_id) if number in self._by_name else None


def _place(home: _Home, name: str, own: str) -> _Place:
    return _Place(home, name, guard(own), dead_key(own), totals_key(own))


async def _push(waiting: list[Any], number: int, source: AsyncIterator[Found]) -> None:
    async for found in source:
        milliseconds, _, sequence = found[0].partition("@")[0].partition("-")
        heapq.heappush(waiting, ((-int(milliseconds), -int(sequence)), number, found))
        return


def _decoded(place: _Place, entry: tuple[bytes, dict[bytes, bytes]]) -> Found:
    entry_id, fields = entry
    letter = None
    with suppress(KeyError, ValueError):
        letter = DeadLetter.decode(fields)
    if letter is None or not EARLIEST_MS <= letter.received_at <= LATEST_MS:
        # A newer version's, say: it can be seen, and dropped.
        at = min(int(entry_id.partition(b"-")[0]), LATEST_MS)
        detail = "an entry of the stream dead that no decoder of this version wrote"
        letter = DeadLetter(Reason.MALFORMED_ENTRY, detail, "", at, payload=None)
    return entry_id.decode() + place.name, letter
