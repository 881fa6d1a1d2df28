"""What has to go: presence that has lapsed, and what Redis's append-only file remembers of finished messages."""

from collections.abc import Callable, Iterable
from contextlib import suppress

from core.clock import Clock
from core.errors import UnavailableError
from core.kinds import Kinds
from runtime.service import Stop, pause
from state.client import Redis
from state.dead_letters import DeadLetters
from state.publishing import positions_carried
from state.raw import work_done
from state.raw_redis import all_redis
from state.rewriting import note_rewriting, rewritings
from state.sealing import sealing_of
from state.server import Rewriting, begin_rewriting, is_rewriting, rewrite_append_only, server_runs
from state.slots import tag
from state.tidying import tidy

EVERY_SECONDS = 5.0
SETS_A_SECOND = 1000
"""Of zones, kinds and partitions that are looked through, 5 µs each: where there are many, each comes less often."""
LOOK_SECONDS = 0.5
SPARE_AFTER_MS = 5000
"""Between two rewrites of the append-only file while the disk has little room: most of that file is what is done."""


class Housekeeping:
    """Runs beside the stage observe; as many may run as there are decoders."""

    def __init__(
        self,
        *,
        client: Redis,
        partitions: int,
        zones: Callable[[], Iterable[str]],
        kinds: Kinds,
        presence_ttl: int,
        forget_after: float,
        dead_letters_keep: int,
        clock: Clock,
        disk_problem: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`zones` answers the ids of all zones at present; `presence_ttl` and `forget_after` are in seconds.

        `dead_letters_keep` is in milliseconds. `disk_problem` answers why Redis's disk is to be spared, None where
        there is room.
        """
        self._disk_problem = disk_problem
        self._client = client
        self._sealing = sealing_of(client)
        self._dead_letters = DeadLetters(client, partitions=partitions)
        self._partitions = partitions
        self._zones = zones
        self._kinds = kinds
        self._ttl_ms = presence_ttl * 1000
        self._dead_letters_keep_ms = dead_letters_keep
        self._forget_after_ms = int(forget_after * 1000)
        self._clock = clock
        self._zones_due_at = clock()
        self._rewritten_at = clock()
        self._rewritten: dict[Redis, object] = {}
        self._begun_for = 0
        self._begun_with = frozenset[str]()

    async def run(self, stop: Stop) -> None:
        """Tidy until `stop`."""
        tidied_at: int | None = None
        while not stop.is_set():
            try:
                if tidied_at is None or self._clock() - tidied_at >= EVERY_SECONDS * 1000:
                    await self._tidy_what_is_due()
                    await self._dead_letters.expire(self._clock() - self._dead_letters_keep_ms)
                    # Where the Redis of keys is away, what else is to be forgotten does not wait for it.
                    with suppress(UnavailableError):
                        await self.destroy_keys()
                    tidied_at = self._clock()
                since = self._clock() - self._rewritten_at
                if since >= self._forget_after_ms or (since >= SPARE_AFTER_MS and self._disk_problem()):
                    await self.forget()
                await self.forget_what_was_erased()
            except UnavailableError:
                pass  # the stages say so, and wait; there is nothing here that must not be missed
            await pause(LOOK_SECONDS, stop)

    async def _tidy_what_is_due(self) -> None:
        zones = [*self._zones()]
        if self._clock() < self._zones_due_at:
            await self.tidy(())
            return
        await self.tidy(zones)
        sets = len(zones) * len(self._kinds) * self._partitions
        self._zones_due_at = self._clock() + sets * 1000 // SETS_A_SECOND

    async def tidy(self, zones: Iterable[str] | None = None) -> None:
        """Remove presence in zones that has lapsed, in all of them for None, and times outside.

        Readers leave them out all the same.
        """
        wanted = [*(self._zones() if zones is None else zones)]
        lapsed = self._clock() - self._ttl_ms
        for partition in range(self._partitions):
            await tidy(self._client, tag(partition, self._partitions), wanted, self._kinds, lapsed)

    async def forget(self) -> None:
        """Have Redis rewrite its append-only file, if messages were processed since the last time.

        A message that was cut off its stream is still in that file, a position outside the campus with it, until the
        file is rewritten. Where `raw` has a Redis of its own, the other one is only asked to if positions have gone
        through its queues. Does nothing where there is no such file, or where the command is not allowed.

        What is sealed needs none of that, for its keys are destroyed: then the file is rewritten once, for what was
        there before.
        """
        self._rewritten_at = self._clock()
        sealed = self._sealing is not None and self._sealing.seals
        done = 0 if sealed else await work_done(self._client, self._partitions)
        carried = await positions_carried(self._client)
        raw, *others = all_redis(self._client)[::-1]
        await self._rewrite(raw, done if others else (done, carried))
        for other in others:
            await self._rewrite(other, carried)

    async def destroy_keys(self) -> None:
        """Destroy the keys of what was sealed and is kept no more."""
        if self._sealing is not None:
            keep_s = self._dead_letters_keep_ms / 1000
            await self._sealing.destroy(self._client, self._partitions, letters_keep_s=keep_s)

    async def forget_what_was_erased(self) -> None:
        """Have Redis rewrite its append-only files where somebody waits for that, who has erased a device.

        Begins, or looks whether what it has begun is done: it is to be called again and again.
        """
        wanted = await rewritings(self._client)
        if wanted.asked <= wanted.answered:
            self._begun_for = 0
            return
        servers = all_redis(self._client)
        if self._begun_for <= wanted.answered:
            self._begun_with = await _runs_of(servers)
            begun = [await begin_rewriting(each) for each in servers]
            if Rewriting.NEVER in begun:
                await note_rewriting(self._client, wanted.asked, refused=True)
            elif Rewriting.LATER not in begun:
                self._begun_for = wanted.asked
            return
        states = [await is_rewriting(each) for each in servers]
        if True in states:
            return
        # A server that was started anew, or has taken over, knows nothing of what was under way.
        if None not in states and await _runs_of(servers) == self._begun_with:
            await note_rewriting(self._client, self._begun_for)
        self._begun_for = 0

    async def _rewrite(self, client: Redis, mark: object) -> None:
        """Unless nothing has happened since: then `mark` is the same."""
        if mark == self._rewritten.get(client) and not self._disk_problem():
            return
        # One that is under way began before the last of these messages were done: it is asked for again.
        if await rewrite_append_only(client):
            self._rewritten[client] = mark


async def _runs_of(clients: Iterable[Redis]) -> frozenset[str]:
    return frozenset[str]().union(*[await server_runs(each) for each in clients])
