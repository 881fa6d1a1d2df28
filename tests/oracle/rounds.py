"""One round of the soak test: everything about it follows from its seed, but what happens between the processes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from decoder.settings import DecoderSettings
from runtime.settings import CommonSettings
from state.client import open_redis
from tests.conftest import TOTALS
from tests.oracle.backlog import remains
from tests.oracle.clock import RunningClock
from tests.oracle.comparison import PRESENCE_TTL, compare
from tests.oracle.disturbed import Disturbed
from tests.oracle.in_process import TaskDecoder
from tests.oracle.processes import ProcessDecoder
from tests.oracle.system import KEY, Decoder, Run
from tests.oracle.traffic import PRESENT, Traffic

RATES = [0.0, 0.1, 0.5]


@dataclass(frozen=True, slots=True)
class Round:
    """What happens in one round."""

    run: Run
    traffic: Traffic
    in_tasks: bool
    """Whether decoders are tasks, which die at finer steps, and not processes."""
    observe_batch: int
    archive_batch: int
    rollup_batch: int

    @classmethod
    def of(cls, seed: int) -> "Round":
        """The round that a seed stands for."""
        random = Random(seed)  # noqa: S311 - to be repeatable, not secret
        in_tasks = random.random() < 0.25
        return cls(
            run=Run(
                decoders=random.choice([1, 2, 4]),
                partitions=random.choice([1, 3]),
                kills=random.randrange(5, 30),
                outages=random.randrange(6),
                # Tasks could claim what the dead left only after their clock was moved on.
                returns=in_tasks or random.random() < 0.5,
                seed=seed,
            ),
            traffic=Traffic(
                seed=seed,
                devices=random.randrange(20, 60),
                fixes=random.randrange(50, 400),
                twice=random.choice(RATES),
                late=random.choice(RATES),
                offline=random.choice(RATES),
                corrupt=random.choice(RATES),
                disorder=random.choice([0.0, 0.2, 1.0]),
            ),
            in_tasks=in_tasks,
            observe_batch=random.choice([5, 17, 100, 500]),
            archive_batch=random.choice([3, 20]),
            rollup_batch=random.choice([50, 1000]),
        )

    def __str__(self) -> str:
        run, what = self.run, "tasks" if self.in_tasks else "processes"
        heirs = "" if run.returns else " by others"
        return f"{run.decoders} {what}, {run.partitions} partitions, {run.kills} kills{heirs}, {run.outages} outages"

    def settings(self, url: str, data_dir: Path) -> DecoderSettings:
        """What its decoders are started with."""
        return DecoderSettings(
            redis_url=url,
            data_dir=data_dir,
            partitions=self.run.partitions,
            device_key=KEY.hex(),
            presence_ttl=PRESENCE_TTL,
            dead_letters_max=1_000_000,
            observe_batch=self.observe_batch,
            archive_batch=self.archive_batch,
            rollup_batch=self.rollup_batch,
            # What is delivered in an answer that is lost must be claimed, too.
            claim_after=600 if self.run.returns and not self.run.outages else 1,
            # Whoever is killed at random says nothing about the entries in hand.
            poison_after=1000,
            # The append-only file is rewritten all the time, and so its rewriting is killed, too.
            forget_after=2,
            log_level="warning",
        )

    async def play(self, redis: Disturbed, data_dir: Path, progressed: Callable[[int, int], None]) -> list[str]:
        """What was not as it should be, a sentence each; `progressed` is told of messages: done, of how many."""
        settings, clock = self.settings(redis.url, data_dir), RunningClock.beginning_at(PRESENT)
        messages = self.traffic.messages()
        random = Random(self.run.seed)  # noqa: S311 - to be repeatable, not secret

        async def start(name: str) -> Decoder:
            named = settings.model_copy(update={"decoder_name": name})
            return TaskDecoder(named) if self.in_tasks else ProcessDecoder(named, clock)

        async with open_redis(CommonSettings(redis_url=redis.url)) as client:

            async def wait() -> None:
                progressed(int(await client.hget(TOTALS, "messages") or 0), len(messages))

            try:
                return await compare(
                    self.run,
                    messages,
                    start,
                    client=client,
                    settings=settings,
                    clock=clock,
                    # What is sent again for want of an answer, or claimed while its decoder was slow, counts twice.
                    exact_totals=self.in_tasks and not self.run.outages,
                    wait=wait,
                    outage=lambda: redis.outage(random),
                )
            except TimeoutError:
                return ["it does not come to an end", *await remains(client, self.run.partitions)]
            except AssertionError as error:  # of a decoder that ended by itself
                return [str(error)]
