"""One phone comes into a zone that hardly anybody is in, or into one with five devices of the attacker's, and leaves.

The attacker knows everybody else. Each trial is a minute of two slots: the phone comes in the first, or does not, and
goes in the second. Nobody else moves. Under `open` no broker says that it lives: so what is recorded is recorded of
devices. Otherwise brokers live, for without them no window of released counts is recorded at all.
"""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from core.clock import format_rfc3339, parse_rfc3339
from tests.privacy.attacks.outcome import Outcome, Scores, outcome
from tests.privacy.attacks.place import AWAY, BLOCK, ELSEWHERE, HELD_BY_BLOCK, SMALL, centre
from tests.privacy.attacks.system import SLOT_MS, System

OWN = 5
"""Devices of the attacker in each zone that is not in the block: as many as PRIVACY_MIN_COUNT, so that it is shown."""
REST = 250
"""Others on the campus, in none of its zones."""
WIDTHS = ("1d", "1h", "5m", "1m")
"""The widest first: of two that tell as much, the first is looked at, and in a day counts are withheld least often."""
_AGAIN = 600
"""Trials after which all say once more where they are: ten hours."""
_DAY_MS = 86_400_000
Json = Any


@dataclass(frozen=True, slots=True)
class Look:
    """What anybody is told at the end of a slot."""

    at: int
    """Milliseconds since the epoch."""
    occupancy: Json
    zones: Mapping[str, Json]
    """Of it, by id."""
    windows: Mapping[tuple[str, str], Json]
    """History by width and zone: of the zone, the block and the campus; {} where none was asked for."""
    summary: Json
    status: int
    """Of a request for the zone that names the ETag of the last one."""
    order: list[str]
    """Zones by count."""
    events: bytes
    """The stream since the last look."""
    mirror: Mapping[str, bytes]
    """What was published since the last look, by topic."""

    def count(self, zone: str) -> int:
        """As far as it is told; what is withheld is nobody."""
        return self.zones[zone]["mobile"] or 0

    def windows_of(self, width: str, zone: str) -> dict[str, int]:
        """Devices by the start of their window, of those that were asked for."""
        history = self.windows[width, zone]
        return {point["start"]: point["devices"] or 0 for point in history["points"]} if history else {}


@dataclass(frozen=True, slots=True)
class Trial:
    """A minute in which a phone came to a zone, or did not."""

    zone: str
    came: bool
    before: Look
    during: Look
    after: Look

    def more(self, width: str, zone: str) -> int:
        """By how much windows have grown meanwhile."""
        before, after = self.before.windows_of(width, zone), self.after.windows_of(width, zone)
        return sum(devices - before.get(start, 0) for start, devices in after.items())


Statistics = Callable[[Trial], Scores]


async def play(system: System, arrivals: int, *, seed: int = 1) -> list[Trial]:
    """So many trials with an arrival, and as many without, in quiet zones; and as many in zones with own devices."""
    rng = random.Random(seed)  # noqa: S311 - the same at every run
    coins = [(zones, came) for zones in (HELD_BY_BLOCK, SMALL[4:]) for came in (True, False) for _ in range(arrivals)]
    rng.shuffle(coins)
    watch = _Watch(system)
    trials: list[Trial] = []
    for number, (zones, came) in enumerate(coins):
        if number % _AGAIN == 0:
            await _all_others(system)
            await system.end_slot()
            await system.forget_walks()
            await system.end_slot()
        zone, phone = rng.choice(zones), f"phone-{number}"
        before = await watch.look(zone, windows=True)
        if not system.policy.is_open:
            await system.beat()
        # Somewhere in the slot.
        system.clock.now += rng.randrange(SLOT_MS)
        if came:
            await system.send([(phone, centre(zone))])
        await system.end_slot()
        during = await watch.look(zone, windows=False)
        if came:
            await system.send([(phone, AWAY)])
        await system.forget_walks()
        await system.end_slot()
        trials.append(Trial(zone, came, before, during, await watch.look(zone, windows=True)))
    return trials


async def _all_others(system: System) -> None:
    """Those who are there all the time: up to three in quiet zones, own ones, and many elsewhere."""
    quiet = [(f"other-{zone}-{n}", centre(zone)) for at, zone in enumerate(HELD_BY_BLOCK) for n in range(at)]
    own = [(f"own-{zone}-{n}", centre(zone)) for zone in SMALL[4:] for n in range(OWN)]
    await system.send([*quiet, *own, *((f"rest-{n}", ELSEWHERE) for n in range(REST))])


class _Watch:
    """Who looks."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._etags: dict[str, str] = {}
        self._number = 0

    async def look(self, zone: str, *, windows: bool) -> Look:
        system = self._system
        now = system.clock.now
        occupancy = await system.get("/v1/occupancy")
        answer = await system.client.get(
            f"/v1/zones/{zone}/occupancy", headers={"If-None-Match": self._etags.get(zone, '"none"')}
        )
        if answer.status_code == httpx.codes.OK:
            self._etags[zone] = answer.headers["etag"]
        found: dict[tuple[str, str], Json] = {}
        for width in WIDTHS if windows else ():
            history = await self._history(zone, width, now)
            for each in history["zones"]:
                found[width, each["zone"]] = each
        order = await system.get("/v1/occupancy", sort="count")
        events = system.events_since(self._number)
        self._number = system.parts.live.change_log.number
        return Look(
            at=now,
            occupancy=occupancy,
            zones={each["zone"]: each for each in occupancy["zones"]},
            windows=found,
            summary=await self._summary(zone, now) if windows else None,
            status=answer.status_code,
            order=[each["zone"] for each in order["zones"]],
            events=events,
            mirror=system.mirror(),
        )

    async def _history(self, zone: str, width: str, now: int) -> Json:
        span = {"1m": 120_000, "5m": 300_000, "1h": 3_600_000, "1d": _DAY_MS}[width]
        asked = {"kind": "mobile", "window": width, "start": format_rfc3339(now - span), "end": format_rfc3339(now)}
        answer = await self._system.client.get(
            "/v1/occupancy/history", params=[*asked.items(), *(("zone", each) for each in (zone, BLOCK, "campus"))]
        )
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    async def _summary(self, zone: str, now: int) -> Json:
        start, end = format_rfc3339(now - _DAY_MS), format_rfc3339(now)
        return await self._system.get(f"/v1/zones/{zone}/occupancy/summary", kind="mobile", start=start, end=end)


def first_and_last(trial: Trial) -> Scores:
    """`first` and `last` of history say when somebody was seen, although no count is shown."""
    found: dict[str, float] = {}
    for width, zone in trial.after.windows:
        before, after = trial.before.windows[width, zone], trial.after.windows[width, zone]
        place = "the zone" if zone == trial.zone else zone
        found[f"last of {width} in {place}"] = _minutes(after["last"]) - _minutes(before["last"])
        found[f"first of {width} in {place}"] = _minutes(after["first"]) - _minutes(before["first"])
    return found


def day_count(trial: Trial) -> Scores:
    """The count of the day that is still going on is asked for again and again."""
    return {"more in the day": trial.more("1d", trial.zone)}


def windows_against_windows(trial: Trial) -> Scores:
    """A wide window tells what narrow ones withhold."""
    zones = {"the zone": trial.zone, "the block": BLOCK}
    return {f"more in {width} of {name}": trial.more(width, zone) for width in WIDTHS for name, zone in zones.items()}


def new_devices(trial: Trial) -> Scores:
    """Whoever had not been on the campus today makes its day one larger."""
    return {f"more in {width} of the campus": trial.more(width, "campus") for width in WIDTHS}


def campus_less_zones(trial: Trial) -> Scores:
    """The campus is told, and of its zones all but one are known."""
    during, before = trial.during, trial.before
    zones = [zone for zone in during.zones if zone not in {"campus", BLOCK}]
    others = sum(during.count(zone) - before.count(zone) for zone in zones)
    more = during.count("campus") - before.count("campus")
    return {"more on the campus": more, "more on the campus than in its zones": more - others}


def block_less_zones(trial: Trial) -> Scores:
    """A zone that holds others is told, and of those all but one are known."""
    more = trial.during.count(BLOCK) - trial.before.count(BLOCK)
    others = sum(trial.during.count(zone) - trial.before.count(zone) for zone in HELD_BY_BLOCK)
    return {"more in the block": more, "more in the block than in its zones": more - others}


def own_then_one(trial: Trial) -> Scores:
    """Five own devices make the count a shown one."""
    return {"more in the zone": trial.during.count(trial.zone) - trial.before.count(trial.zone)}


def events(trial: Trial) -> Scores:
    """The stream says of a zone when it changes."""
    name = f'"zone":"{trial.zone}"'.encode()
    return {"events of the zone": trial.during.events.count(name), "all events": trial.during.events.count(b"event:")}


def not_modified(trial: Trial) -> Scores:
    """A 304 says that nothing has changed."""
    return {
        "changed": trial.during.status == httpx.codes.OK,
        "changed afterwards": trial.after.status == httpx.codes.OK,
    }


def times(trial: Trial) -> Scores:
    """`observed_at` says when a device of the zone was seen, and when the newest message came."""
    zone, known = trial.during.zones[trial.zone], trial.before.zones[trial.zone]
    return {
        "observed_at is another": zone["observed_at"] != known["observed_at"],
        "observed_at": _minutes(zone["observed_at"]) - _minutes(known["observed_at"]),
        "last_updated": _minutes(trial.during.occupancy["last_updated"]) - trial.during.at / 60_000,
    }


def newest_input(trial: Trial) -> Scores:
    """When the newest message of a kind came."""
    came = _minutes(trial.during.occupancy["newest_input_at"]["mobile"])
    known = _minutes(trial.before.occupancy["newest_input_at"]["mobile"])
    return {
        "newest_input_at": came - known,
        "lag_seconds": trial.during.occupancy["lag_seconds"],
        "stale": (trial.during.occupancy["stale"] != trial.before.occupancy["stale"]),
    }


def mirror(trial: Trial) -> Scores:
    """The topics of the zone over MQTT."""
    topic = f"v1/zones/{trial.zone}/occupancy"
    told, known = trial.during.mirror.get(topic), trial.before.zones[trial.zone]["mobile"] or 0
    return {
        "published": told is not None,
        "more": 0.0 if told is None else (json.loads(told)["mobile"] or 0) - known,
        "all topics": len(trial.during.mirror),
    }


def order(trial: Trial) -> Scores:
    """Zones that are sorted by count."""
    return {"how far up": trial.before.order.index(trial.zone) - trial.during.order.index(trial.zone)}


def coverage(trial: Trial) -> Scores:
    """A minute is recorded of which a device is known."""
    unrecorded = trial.after.windows["1m", trial.zone]["unrecorded"]
    asked = trial.before.at / 60_000
    covered = any(_minutes(each["start"]) <= asked < _minutes(each["end"]) for each in unrecorded)
    before, after = trial.before.summary or {}, trial.after.summary or {}
    return {
        "the minute is not recorded": covered,
        "recorded minutes": after.get("recorded_minutes", 0) - before.get("recorded_minutes", 0),
        "hours": after.get("hours", 0) - before.get("hours", 0),
    }


ATTACKS: Mapping[str, tuple[Statistics, tuple[str, ...]]] = {
    "first and last of history": (first_and_last, HELD_BY_BLOCK),
    "polling the count of the day": (day_count, SMALL[4:]),
    "windows against windows": (windows_against_windows, HELD_BY_BLOCK),
    "new devices of the day": (new_devices, HELD_BY_BLOCK),
    "the campus less its zones": (campus_less_zones, HELD_BY_BLOCK),
    "a zone less those in it": (block_less_zones, HELD_BY_BLOCK),
    "five own devices, then one": (own_then_one, SMALL[4:]),
    "the stream of events": (events, SMALL[4:]),
    "what is not modified": (not_modified, SMALL[4:]),
    "times of observation": (times, SMALL[4:]),
    "the newest input": (newest_input, HELD_BY_BLOCK),
    "the mirror": (mirror, SMALL[4:]),
    "the order by count": (order, SMALL[4:]),
    "what is recorded": (coverage, HELD_BY_BLOCK),
}
"""What is looked at, and in which zones."""


def outcomes(trials: list[Trial]) -> list[Outcome]:
    """What each attack comes to."""
    found = []
    for name, (statistics, zones) in ATTACKS.items():
        there = [trial for trial in trials if trial.zone in zones]
        arrived, others = ([statistics(trial) for trial in there if trial.came is came] for came in (True, False))
        found.append(outcome(name, arrived, others))
    return found


def _minutes(text: str | None) -> float:
    """Since the epoch; a time that is withheld is none."""
    return 0 if text is None else parse_rfc3339(text) / 60_000
