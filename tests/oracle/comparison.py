"""The system and the plain program, given the same messages."""

from collections.abc import Awaitable, Callable, Sequence
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from core.kinds import DEFAULT_KINDS
from core.messages import RawMessage
from decoder.settings import DecoderSettings
from state.dirty_windows import waiting
from state.presence import presence_now
from tests.conftest import eventually
from tests.oracle.backlog import remains
from tests.oracle.clock import RunningClock
from tests.oracle.in_process import TaskDecoder
from tests.oracle.naive import Truth, load_shapes
from tests.oracle.system import KEY, Run, Start, differences, no_outage, nothing, read, work

PRESENCE_TTL = 21_600
"""Seconds: all traffic of the present is processed within it, and none of other times (tests/oracle/traffic.py)."""
LEASES_LAPSE_MS = 600_000
"""Longer than any claim holds."""


async def compare(
    run: Run,
    messages: Sequence[RawMessage],
    start: Start,
    *,
    client: Redis,
    settings: DecoderSettings,
    clock: RunningClock,
    exact_totals: bool,
    wait: Callable[[], Awaitable[object]] = nothing,
    outage: Callable[[], Awaitable[object]] = no_outage,
    keys: dict[int, bytes] | None = None,
) -> list[str]:
    """What the system has other than the plain program, a sentence each; `keys` are those of days, where keys rotate.

    Without `exact_totals` the counts of messages may be too high, never too low.
    """
    truth = Truth(KEY, zone=ZoneInfo(settings.campus_timezone), keys=keys)
    for message in messages:
        truth.add(message)
    with clock.installed():
        await work(run, client, messages, start, wait=wait, outage=outage)
    await roll_up_the_rest(client, settings, clock)
    wrong = differences(await read(client, settings), truth, exact_totals=exact_totals)
    return wrong + await _presence(client, truth, clock(), run.partitions) + await remains(client, run.partitions)


async def _presence(client: Redis, truth: Truth, now: int, partitions: int) -> list[str]:
    found = await presence_now(client, load_shapes(), DEFAULT_KINDS, now=now, ttl=PRESENCE_TTL, partitions=partitions)
    present = {(zone, str(kind)): one.devices for zone in found for kind, one in found[zone].items()}
    expected = truth.presence(now, PRESENCE_TTL)
    return [
        f"{present.get(place, 0)} are present in {place}, not {expected.get(place, 0)}"
        for place in present.keys() | expected.keys()
        if present.get(place, 0) != expected.get(place, 0)
    ]


async def roll_up_the_rest(client: Redis, settings: DecoderSettings, clock: RunningClock) -> None:
    """What those who died had claimed is free after a while: here, at once."""

    async def all_rolled_up() -> bool:
        return not await waiting(client, settings.partitions)

    with RunningClock(clock.ahead + LEASES_LAPSE_MS).installed():
        last = TaskDecoder(settings.model_copy(update={"stages": "rollup"}))
        try:
            await eventually(all_rolled_up)
            await last.stop()
        finally:
            await last.kill()
