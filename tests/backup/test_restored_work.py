"""A system that is copied while it works, and restored elsewhere, comes to what the plain program says (the oracle)."""

from pathlib import Path

import pytest

from backup.catalogue import Catalogue
from backup.erasures import Erasures
from backup.manifest import What
from backup.place import open_place
from backup.progress import Shown
from backup.restoring import Restoring, choose
from backup.saving import Saving
from backup.settings import BackupPlaceSettings
from core.clock import system_clock
from core.messages import RawMessage
from decoder.settings import DecoderSettings
from documents import open_store as open_documents
from runtime.settings import CommonSettings
from state.client import Redis, open_redis
from state.status import read_status
from tests.conftest import eventually, redis_executable
from tests.oracle.clock import RunningClock
from tests.oracle.comparison import roll_up_the_rest
from tests.oracle.in_process import TaskDecoder
from tests.oracle.naive import Truth
from tests.oracle.system import KEY, Decoder, Run, append, connected, differences, read, work
from tests.oracle.test_oracle import settings_of
from tests.oracle.traffic import PRESENT, Traffic
from tests.redis_servers.single import single_redis
from timeseries import open_store as open_series

# Who is killed closes nothing; where a task stands for a process, Python finds its connections afterwards.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
BACKUP_KEY = "ab" * 32


def catalogue_in(folder: Path) -> Catalogue:
    return Catalogue(
        open_place(BackupPlaceSettings(backup_url=f"file://{folder}", backup_key=BACKUP_KEY)), bytes.fromhex(BACKUP_KEY)
    )


async def save(catalogue: Catalogue, settings: DecoderSettings, redis: Redis) -> None:
    with Shown(watched=False) as shown:
        saving = Saving(client=redis, catalogue=catalogue, shown=shown, clock=system_clock, keep_days=30)
        await saving.redis()
        async with open_documents(settings) as documents, open_series(settings) as series:
            await saving.documents(documents)
            await saving.series(series)


async def restore(catalogue: Catalogue, settings: DecoderSettings, redis: Redis) -> None:
    with Shown(watched=False) as shown:
        restoring = Restoring(catalogue=catalogue, shown=shown, clock=system_clock, erasures=Erasures(None, (), ()))
        chosen = await choose(catalogue, list(What), until=None)
        await restoring.check(chosen)
        async with open_documents(settings) as documents, open_series(settings) as series:
            await restoring.run(chosen, redis=redis, documents=documents, series=series, partitions=1)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("partitions", "target"), [(1, "one Redis"), (3, "one Redis"), (3, "a cluster")])
async def test_a_drill_in_the_middle_of_work_loses_and_doubles_nothing(
    partitions: int,
    target: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    run = Run(decoders=2, partitions=partitions)
    messages = Traffic(seed=1717, devices=12, fixes=40).messages()
    truth = Truth(KEY)
    for message in messages:
        truth.add(message)
    catalogue = catalogue_in(tmp_path / "backups")
    clock = RunningClock.beginning_at(PRESENT)
    cluster = request.getfixturevalue("cluster").url if target == "a cluster" else None
    with single_redis(redis_executable(), "--repl-diskless-sync-delay", "0") as url:
        settings = settings_of(run, url, tmp_path / "first", claim_after=600)
        async with connected(url) as redis:
            await saved_while_working(run, messages, settings, redis, catalogue, clock)
    # The first one is gone.
    with single_redis(redis_executable()) as single:
        url = cluster or single
        settings = settings_of(run, url, tmp_path / "second", claim_after=0.5)
        async with connected(url):
            pass  # it is empty
        async with open_redis(CommonSettings(redis_url=url)) as redis:
            await restore(catalogue, settings, redis)

            async def start(name: str) -> Decoder:
                return TaskDecoder(settings.model_copy(update={"decoder_name": name}))

            with clock.installed():
                await work(run, redis, [], start)
            await roll_up_the_rest(redis, settings, clock)
            assert differences(await read(redis, settings), truth, exact_totals=True) == []


async def saved_while_working(
    run: Run,
    messages: list[RawMessage],
    settings: DecoderSettings,
    redis: Redis,
    catalogue: Catalogue,
    clock: RunningClock,
) -> None:
    """Save while decoders are somewhere in the middle of what arrived."""
    await append(redis, messages, run.partitions)

    async def begun() -> bool:
        return (await read_status(redis, run.partitions)).totals.get("messages", 0) > len(messages) // 4

    with clock.installed():
        decoders = [
            TaskDecoder(settings.model_copy(update={"decoder_name": f"decoder-{number}"}))
            for number in range(run.decoders)
        ]
        try:
            await eventually(begun)
            await save(catalogue, settings, redis)
        finally:
            for decoder in decoders:
                await decoder.kill()
