"""A canary: when it holds, goes on, goes back and has reached all; then the same with rules in a real Redis."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from controller.canary import Back, Compared, Done, Hold, Limits, Next, Verdict, decide
from controller.canary_loop import CanaryLoop
from controller.measuring import measured_since, parse_measure
from controller.metrics import ControllerMetrics
from core.versions import changed, first_route, shares_with
from state.apps import AppStore, Canary, Counters, Figures, Instance, Measure
from tests.conftest import NOON

APP = "update-schuman"
LIMITS = Limits(alpha=0.001, least_errors=3, stalled_seconds=900)
STEPS = (5, 20, 50, 100)


def canary(**changes: object) -> Canary:
    made = Canary(
        app=APP,
        version="2",
        steps=STEPS,
        hold_seconds=60,
        hold_requests=200,
        slower_by=5,
        by="key",
        started_at=NOON,
        number=2,
        before={"1": 100, "2": 0},
        step_at=NOON,
    )
    return msgspec.structs.replace(made, **changes)


def running(version: str, *, healthy: bool = True) -> Instance:
    return Instance(
        app=APP, version=version, name=f"i{version}", address="10.0.0.1", port=80, healthy=healthy, since=NOON
    )


def answers(count: int, errors: int = 0, slow: int = 0) -> Counters:
    return Counters(answers=count, errors=errors, by_time=(count - slow, 0, 0, slow, 0, 0, 0, 0, 0, 0))


def verdict(
    new: Counters,
    others: Counters,
    *,
    seconds: float = 60,
    healthy: bool = True,
    measured: tuple[Measure, Measure] = (Measure(), Measure()),
    **changes: object,
) -> Verdict:
    seen = Compared(new, others, *measured)
    return decide(canary(**changes), seen, healthy=healthy, now=NOON + int(seconds * 1000), limits=LIMITS)


def test_a_step_is_held_for_its_time_and_its_requests() -> None:
    early = verdict(answers(500), answers(9500), seconds=59.9)
    assert early == Hold("at 5 %: 60 of 60 s, 500 of 200 answers")
    assert isinstance(verdict(answers(199), answers(9500)), Hold)
    assert isinstance(verdict(answers(200), answers(9500)), Next)
    assert isinstance(verdict(answers(200), answers(9500), step=3), Done)


def test_one_that_fails_goes_back_at_once_and_says_in_how_many_of_how_many() -> None:
    assert verdict(answers(100, errors=5), answers(1900), seconds=12) == Back(
        "version 2 fails more often: 5 of 100 answers are errors, of the others 0 of 1900 answers are errors "
        "(exact test of Fisher: chance does so with p = 3e-07)"
    )


def test_two_errors_are_not_believed_and_as_many_as_the_others_have_are_no_reason() -> None:
    assert isinstance(verdict(answers(20, errors=2), answers(10_000), seconds=5), Hold)
    assert isinstance(verdict(answers(1000, errors=50), answers(1000, errors=40)), Next)


def test_one_that_is_slower_goes_back_where_that_is_more_than_is_let_pass() -> None:
    worse = verdict(answers(1000, slow=100), answers(9000, slow=100))
    assert isinstance(worse, Back)
    assert worse.why.startswith("version 2 is slower: 10.0% of its answers took more than 5 ms, of the others 1.1%")
    assert isinstance(verdict(answers(1000, slow=50), answers(9000, slow=100)), Next)


def test_one_that_none_of_its_instances_is_healthy_of_goes_back() -> None:
    assert verdict(answers(0), answers(10), seconds=2, healthy=False) == Back("no instance of version 2 is healthy")


def test_one_that_too_few_ask_for_goes_back_in_the_end_and_says_so() -> None:
    assert isinstance(verdict(answers(150), answers(3000), seconds=899), Hold)
    assert verdict(answers(150), answers(3000), seconds=900) == Back(
        "too little to compare: in 900 s at 5 %, version 2 gave 150 answers of 200 that are asked for, the others 3000"
    )


def test_with_nothing_to_compare_it_with_it_does_not_go_on() -> None:
    assert isinstance(verdict(answers(500), answers(0)), Hold)
    assert isinstance(verdict(answers(500), answers(0), seconds=900), Back)
    # Who asks for no requests goes by time alone.
    assert isinstance(verdict(answers(0), answers(0), hold_requests=0), Next)


def test_a_measure_of_its_own_that_is_higher_takes_it_back() -> None:
    low = Measure(count=100, sum=100.0, sum_of_squares=110.0)
    high = Measure(count=100, sum=150.0, sum_of_squares=240.0)
    assert isinstance(verdict(answers(500), answers(500), measured=(high, low)), Next), "nobody asked for it"
    back = verdict(answers(500), answers(500), measured=(high, low), measure="/measure")
    assert isinstance(back, Back)
    assert back.why.startswith("/measure of version 2 is higher: 1.5 on average, of the others 1")
    assert isinstance(verdict(answers(500), answers(500), measured=(low, high), measure="/measure"), Next)


def test_a_measure_is_three_numbers_within_bounds() -> None:
    assert parse_measure(b'{"count": 2, "sum": 3.0, "sum_of_squares": 5, "more": 1}') == Measure(
        count=2, sum=3.0, sum_of_squares=5.0
    )
    most = b'{"count": 1000000000000, "sum": -1e30, "sum_of_squares": 1e60}'
    assert parse_measure(most) == Measure(count=10**12, sum=-1e30, sum_of_squares=1e60)
    for wrong in (
        b"",
        b"[]",
        b"\xff",
        b"[" * 4000,
        b'{"x": ' + b"[" * 4000,
        b'{"count": -1}',
        b'{"count": 1000000000001}',
        b'{"count": 1' + b"0" * 3000 + b"}",
        b'{"sum": 1e999}',
        b'{"sum": 1.1e30}',
        b'{"sum": -1.1e30}',
        b'{"sum": 1' + b"0" * 3000 + b"}",
        b'{"count": "2"}',
        b'{"sum_of_squares": -1}',
        b'{"count": 2, "sum": 0, "sum_of_squares": 1e300}',
    ):
        assert parse_measure(wrong) is None, wrong


_EDGES: list[object] = [0, 2, 3, 10**12, 1e-300, 5e-324, 1e-30, 1e30, 1e60, 1e300, True, None, "2", [], {}]
_ANYTHING: st.SearchStrategy[object] = st.integers() | st.floats() | st.sampled_from(_EDGES)
_ODD = st.dictionaries(st.sampled_from(["count", "sum", "sum_of_squares", "else"]), _ANYTHING)
_LIKELY = st.fixed_dictionaries(
    {"count": st.integers(0, 9), "sum": st.floats(-1e31, 1e31), "sum_of_squares": st.floats(0, 1e301)}
)


@given(st.lists(_ODD | _LIKELY, min_size=4, max_size=4))
def test_whatever_instances_answer_a_canary_can_be_compared(answered: list[object]) -> None:
    before, now, before_others, now_others = (parse_measure(json.dumps(each).encode()) for each in answered)
    begun = {name: each for name, each in (("i1", before_others), ("i2", before)) if each is not None}
    read = {name: each for name, each in (("i1", now_others), ("i2", now)) if each is not None}
    walking = canary(measured=begun)
    measured, others = (measured_since(read, walking, [running(version)]) for version in ("2", "1"))
    found = verdict(answers(500), answers(500), measured=(measured, others), measure="/measure")
    assert isinstance(found, Next | Back)


# --- with rules in Redis ----------------------------------------------------------------------------------------------


async def _nothing() -> None:
    pass


class Walk:
    """A canary that walks by a clock of its own, while a test says what HAProxy has counted."""

    def __init__(self, client: Redis) -> None:
        self.store = AppStore(client)
        self.now = NOON
        self.metrics = ControllerMetrics()
        self.measured: dict[str, Measure] = {}
        self.counted = {1: answers(1_000_000, errors=100), 2: answers(0)}
        self.started_at = NOON - 1000
        self.healthy = True
        self.meanwhile: Callable[[], Awaitable[None]] = _nothing
        """What others do while an instance is asked for its measure."""
        self.loop = CanaryLoop(
            store=self.store, measures=self, limits=LIMITS, clock=lambda: self.now, metrics=self.metrics
        )

    async def read(self, instance: Instance, path: str) -> Measure | None:
        assert path == "/measure"
        await self.meanwhile()
        return self.measured.get(instance.version)

    async def begin(self, **changes: object) -> None:
        """As the API does it: a canary beside the rule that holds."""
        first = first_route(APP, "1")
        await self.store.put(first, replaces=0, by="controller", at=NOON, why="first")
        await self.store.put_places({f"{APP}/1": 1, f"{APP}/2": 2, "other/2": 3})
        begun = canary(step_at=0, **changes)
        after = changed(first, shares=shares_with(begun.before, "2", begun.steps[0]))
        await self.store.put(after, replaces=1, by="key", at=NOON, why="a canary", canary=begun)
        await self.look()

    async def look(self, seconds: float = 0, **counted: Counters) -> Canary:
        self.now += int(seconds * 1000)
        for version, more in counted.items():
            place = int(version.removeprefix("v"))
            self.counted[place] = _sum(self.counted[place], more)
        figures = Figures(at=self.now, started_at=self.started_at, places={**self.counted, 3: answers(7, errors=7)})
        await self.store.count("front-1", figures)
        await self.store.see(
            self.now,
            [running("1"), running("2", healthy=self.healthy)],
        )
        await self.loop.step()
        assert self.loop.problem is None
        found = await self.store.canary(APP)
        assert found is not None
        return found

    async def shares(self) -> dict[str, int]:
        route = await self.store.route(APP)
        assert route is not None
        return dict(route.shares)


def _sum(one: Counters, other: Counters) -> Counters:
    return Counters(
        answers=one.answers + other.answers,
        errors=one.errors + other.errors,
        by_time=tuple(a + b for a, b in zip(one.by_time, other.by_time, strict=True)),
    )


@pytest.fixture
def walk(redis_client: Redis) -> Walk:
    return Walk(redis_client)


async def test_a_good_one_reaches_all_step_by_step(walk: Walk) -> None:
    await walk.begin()
    seen = [await walk.shares()]
    for _ in STEPS:
        await walk.look(60, v1=answers(5000), v2=answers(300))
        seen.append(await walk.shares())
    assert [shares["2"] for shares in seen] == [5, 20, 50, 100, 100]
    found = await walk.look()
    assert (found.state, found.step) == ("done", 3)
    assert found.why.startswith("version 2 did no worse in 60 s at 100 %: 0 of 300 answers are errors")


async def test_who_has_the_new_version_keeps_it_from_step_to_step(walk: Walk) -> None:
    await walk.begin()
    kept: set[int] = set()
    for _ in STEPS:
        route = await walk.store.route(APP)
        assert route is not None
        now = {bucket for bucket in range(10_000) if route.owner_of(bucket) == "2"}
        assert kept <= now
        kept = now
        await walk.look(60, v1=answers(5000), v2=answers(300))
    assert len(kept) == 10_000


async def test_one_that_fails_goes_back_to_what_was_before_and_says_why(walk: Walk) -> None:
    await walk.begin()
    await walk.look(10, v1=answers(950), v2=answers(50))
    found = await walk.look(10, v1=answers(950), v2=answers(50, errors=5))
    assert (found.state, await walk.shares()) == ("back", {"1": 100, "2": 0})
    assert found.why.startswith("version 2 fails more often: 5 of 100 answers are errors, of the others 0 of 1900")
    newest = (await walk.store.changes(APP, 1))[0]
    assert (newest.by, newest.why) == ("canary", found.why)
    assert walk.metrics.registry.get_sample_value("controller_canary_total", {"outcome": "back"}) == 1


async def test_what_was_counted_before_the_step_does_not_count(walk: Walk) -> None:
    walk.counted[2] = answers(1000, errors=900)
    await walk.begin()
    assert (await walk.look(60, v1=answers(5000), v2=answers(300))).step == 1


async def test_at_all_of_them_it_is_compared_with_the_step_before(walk: Walk) -> None:
    await walk.begin(steps=(50, 100))
    await walk.look(60, v1=answers(1000), v2=answers(1000))
    found = await walk.look(10, v2=answers(100, errors=10))
    assert (found.state, await walk.shares()) == ("back", {"1": 100, "2": 0})


async def test_a_canary_that_begins_with_all_is_compared_with_what_was_before(walk: Walk) -> None:
    await walk.begin(steps=(100,))
    assert await walk.shares() == {"1": 0, "2": 100}
    assert (await walk.look(2, v2=answers(100, errors=10))).state == "back"


async def test_a_rule_that_somebody_changes_ends_the_canary_which_touches_nothing(walk: Walk) -> None:
    await walk.begin()
    route = await walk.store.route(APP)
    assert route is not None
    await walk.store.put(changed(route, shares={"1": 40, "2": 60}), replaces=2, by="ann", at=NOON, why="I want it")
    found = await walk.look(10, v1=answers(100), v2=answers(100, errors=100))
    assert (found.state, await walk.shares()) == ("ended", {"1": 40, "2": 60})
    await walk.look(60, v1=answers(5000), v2=answers(300))
    assert await walk.shares() == {"1": 40, "2": 60}


async def test_a_haproxy_that_was_started_anew_counts_from_nothing(walk: Walk) -> None:
    await walk.begin()
    walk.started_at, walk.counted = NOON + 1, {1: answers(0), 2: answers(0)}
    found = await walk.look(10, v1=answers(900), v2=answers(100))
    assert found.why == "at 5 %: 10 of 60 s, 100 of 200 answers"


async def test_a_haproxy_that_told_nothing_as_the_step_began_counts_from_when_it_does(walk: Walk) -> None:
    await walk.begin()
    await walk.store.count("front-2", Figures(at=NOON, started_at=NOON - 99_000, places={2: answers(500, errors=400)}))
    assert (await walk.look(1, v1=answers(10))).why == "at 5 %: 1 of 60 s, 0 of 200 answers"
    await walk.store.count("front-2", Figures(at=NOON, started_at=NOON - 99_000, places={2: answers(530, errors=400)}))
    assert (await walk.look(1)).why == "at 5 %: 2 of 60 s, 30 of 200 answers"


async def test_a_measure_counts_from_the_step_on(walk: Walk) -> None:
    walk.measured = {
        "1": Measure(count=100, sum=100.0, sum_of_squares=110.0),
        "2": Measure(count=100, sum=1000.0, sum_of_squares=10_010.0),
    }
    await walk.begin(measure="/measure")
    walk.measured = {
        "1": Measure(count=300, sum=300.0, sum_of_squares=330.0),
        "2": Measure(count=150, sum=1050.0, sum_of_squares=10_065.0),
    }
    assert (await walk.look(10, v1=answers(100), v2=answers(10))).state == "running"
    walk.measured["2"] = Measure(count=250, sum=1250.0, sum_of_squares=10_500.0)
    found = await walk.look(10, v1=answers(100), v2=answers(10))
    assert found.state == "back"
    assert found.why.startswith("/measure of version 2 is higher: 1.667 on average, of the others 1")


async def test_one_that_an_administrator_ends_while_it_is_looked_at_stays_ended(walk: Walk) -> None:
    await walk.begin(measure="/measure")
    ended = canary(state="back", why="an administrator has ended it", number=3, measure="/measure")

    async def end() -> None:
        route = await walk.store.route(APP)
        assert route is not None
        after = changed(route, shares={"1": 100, "2": 0})
        await walk.store.put(after, replaces=2, by="ann", at=NOON, why="", canary=ended)

    walk.meanwhile = end
    assert await walk.look(1, v1=answers(100), v2=answers(5)) == ended


async def test_instances_are_asked_for_their_measure_together(walk: Walk) -> None:
    await walk.begin(measure="/measure")
    both = asyncio.Barrier(2)

    async def meet() -> None:
        async with asyncio.timeout(30):
            await both.wait()

    walk.meanwhile = meet
    assert (await walk.look(1)).state == "running"


async def test_one_that_cannot_be_reckoned_with_goes_back_and_the_others_go_on(walk: Walk) -> None:
    await walk.begin()
    first = first_route("other", "1")
    other = canary(app="other", step_at=0)
    await walk.store.put(first, replaces=0, by="controller", at=NOON, why="first")
    after = changed(first, shares={"1": 95, "2": 5})
    await walk.store.put(after, replaces=1, by="key", at=NOON, why="a canary", canary=other)

    found = await walk.look(1, v2=Counters(answers=5, errors=6, by_time=(5, *[0] * 9)))

    assert (found.state, found.why) == ("back", "it cannot be compared: 6 errors of 5 and 0 of 0 cannot be")
    assert await walk.shares() == {"1": 100, "2": 0}
    went_on = await walk.store.canary("other")
    assert went_on is not None
    assert (went_on.state, went_on.why) == ("running", "at 5 %: it begins")


async def test_while_nobody_knows_what_runs_it_waits(walk: Walk, redis_client: Redis) -> None:
    await walk.begin()
    await redis_client.delete("apps:seen:{campus}")
    await walk.loop.step()
    found = await walk.store.canary(APP)
    assert found is not None
    assert (found.state, found.why) == ("running", "it waits: nobody knows what runs at present")


async def test_one_that_dies_goes_back(walk: Walk) -> None:
    await walk.begin()
    walk.healthy = False
    assert (await walk.look(2)).why == "no instance of version 2 is healthy"
    assert await walk.shares() == {"1": 100, "2": 0}


async def test_without_redis_it_changes_nothing_and_says_so(away_redis: Redis) -> None:
    walk = Walk(away_redis)
    await walk.loop.step()
    assert walk.loop.problem is not None
    assert walk.loop.problem.startswith("canaries wait: ")
