"""Publishing to other nodes, to persistent sessions, and what is retained.

One script is under way at a time. What arrives meanwhile goes into the next: so the busier it is, the larger the
batches, and their order is kept. A batch is routed by the replica of `routes`, and the script says which version Redis
had. Where that is a newer one, whoever has come since gets the batch afterwards, and whoever has gone does not get it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

import structlog

from broker.cluster.batch import Guard, Part, Routed, build, split
from broker.cluster.identity import Identity
from broker.cluster.limits import Dropped, Limits
from broker.cluster.retained import is_state, may_be_retained
from broker.cluster.routes import Plan, Routes
from broker.protocol.message import Message
from core.clock import Clock
from core.errors import UnavailableError
from core.kinds import Kinds
from runtime.log_throttle import LogThrottle
from runtime.retry import until_available
from runtime.service import Stop, Wakeup
from state.mqtt import Scripts
from state.nodes import Nodes
from state.publishing import Batch, Published, publish

MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_BATCH_MESSAGES = 5000
MAX_BATCH_TARGETS = 20_000

_log = structlog.stdlib.get_logger("cluster")


class Publish(NamedTuple):
    """A message that is to be published."""

    message: Message
    guard: tuple[str, int] | None = None
    """Client id and packet id of a QoS 2 message from a client with a persistent session."""


class _Waiting(NamedTuple):
    messages: Sequence[tuple[Message, Guard | None]]
    done: "asyncio.Future[list[bool]]"


class Publisher:
    """Publishes for one node. What is waiting is bounded by the connections, each of which waits for its own."""

    def __init__(
        self,
        *,
        nodes: Nodes,
        scripts: Scripts,
        identity: Identity,
        kinds: Kinds,
        routes: Routes,
        limits: Limits,
        dropped: Dropped,
        clock: Clock,
        no_room: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`no_room` answers why nothing new is to be given to Redis at present, None where there is no reason."""
        self._nodes = nodes
        self._kinds = kinds
        self._scripts = scripts
        self._identity = identity
        self._routes = routes
        self._limits = limits
        self._dropped = dropped
        self._clock = clock
        self._no_room = no_room
        self._waiting: deque[_Waiting] = deque()
        self._wakeup = Wakeup()
        self._numbers = count(1)
        self._ended = False
        self._log_throttle = LogThrottle(time.monotonic)
        self.problem: str | None = None
        """Why nothing can be published at present; None when all is well."""

    async def publish(self, messages: Sequence[Publish]) -> list[bool]:
        """Return once Redis has all of `messages`: for other nodes, for queues, and as retained ones.

        For each: True where it is new, False where its guard says that it was there already; nothing is done for that
        again, and nothing should be done here. This node's own subscribers are the caller's business, but for queues.
        Waits as long as Redis is away; cancelling it leaves open whether they are published. Raises UnavailableError
        once `run` has ended.
        """
        return await self._publish([(message, None if guard is None else Guard(*guard)) for message, guard in messages])

    async def publish_will(self, owner: str, connection: int) -> Message | None:
        """Publish the will of a connection of the node `owner`; the message, if it was ours to publish.

        None where there is none, or another has published it. Raises UnavailableError.
        """
        message = await self._nodes.will(owner, connection)
        if message is None:
            return None
        (new,) = await self._publish([(message, Guard(owner=owner, connection=connection))])
        return message if new else None

    async def run(self, stop: Stop) -> None:
        """Publish what is waiting, until `stop`."""
        batch: list[_Waiting] = []
        self._ended, failed = False, False
        try:
            with self._wakeup.woken_by(stop):
                while not stop.is_set():
                    if self._waiting:
                        batch = self._next_batch()
                        await self._do_or_single_out(batch)
                    else:
                        await self._wakeup.wait()
        except Exception as defect:
            # Whoever waits tries again, and finds this started again.
            failed = True
            self._give_up(batch, f"this node cannot publish: {type(defect).__name__}")
            raise
        finally:
            self._ended = stop.is_set() or not failed
            if self._ended:
                self._give_up([*batch, *self._waiting], "this node has left the cluster")

    async def _do_or_single_out(self, batch: list[_Waiting]) -> None:
        """Publish a batch; where it meets a defect, each of it alone, and who brings the defect hears of it."""
        try:
            await self._do(batch)
        except Exception as defect:  # noqa: BLE001 - whoever waits for it logs it
            if len(batch) > 1:
                _log.warning("a batch is published one by one", waiting=len(batch), reason=type(defect).__name__)
            for waiting in batch:
                if len(batch) > 1 and not waiting.done.done():
                    await self._do_or_single_out([waiting])
                elif not waiting.done.done():
                    waiting.done.set_exception(defect)

    @staticmethod
    def _give_up(some: Sequence[_Waiting], reason: str) -> None:
        for waiting in some:
            if not waiting.done.done():
                waiting.done.set_exception(UnavailableError(reason))

    async def _publish(self, messages: Sequence[tuple[Message, Guard | None]]) -> list[bool]:
        if self._ended:
            raise UnavailableError("this node has left the cluster")
        done: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(messages, done))
        self._wakeup.wake()
        return await done

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = messages = targets = 0
        while (
            self._waiting and size < MAX_BATCH_BYTES and messages < MAX_BATCH_MESSAGES and targets < MAX_BATCH_TARGETS
        ):
            waiting = self._waiting.popleft()
            if not waiting.done.cancelled():
                batch.append(waiting)
                messages += len(waiting.messages)
                size += sum(len(message.payload) for message, _ in waiting.messages)
                targets += sum(len(self._plan(message).queues) for message, _ in waiting.messages)
        return batch

    async def _do(self, batch: list[_Waiting]) -> None:
        version = self._routes.version
        routed = [
            Routed(
                message,
                guard,
                self._plan(message),
                message.retain and may_be_retained(message.topic, self._kinds),
                state=is_state(message),
            )
            for waiting in batch
            for message, guard in waiting.messages
        ]
        fresh: list[bool] = []
        for some in split(routed):
            fresh += await self._publish_some(some, version)
        results = iter(fresh)
        for waiting in batch:
            mine = [next(results) for _ in waiting.messages]
            if not waiting.done.done():
                waiting.done.set_result(mine)

    async def _publish_some(self, routed: list[Routed], version: str) -> list[bool]:
        """Which of them are new."""
        first, *others = build(routed, self._kinds)
        answer = await self._send(first, version)
        refused = {number for number, new in enumerate(answer.new, 1) if new == "0"}
        for part in others:
            await self._send(part.without(refused), version)
        if answer.retained_refused:
            retained = [each for each in routed if each.retain]
            await self._queue_states([retained[index - 1] for index in answer.retained_refused])
        new = iter(answer.new)
        fresh = [each.guard is None or next(new) == "1" for each in routed]
        if answer.version != version:
            await self._reach_newcomers([each for each, is_new in zip(routed, fresh, strict=True) if is_new])
        return fresh

    def _plan(self, message: Message) -> Plan:
        return self._routes.nodes(message.topic) if is_state(message) else self._routes.plan(message.topic)

    async def _queue_states(self, routed: list[Routed]) -> None:
        """States that could not be retained: persistent sessions get them as any other message."""
        queued = []
        for each in routed:
            plan = self._routes.plan(each.message.topic)
            if each.state and plan.queues:
                queued.append(Routed(each.message, None, Plan((), (), plan.queues), retain=False))
        for part in build(queued, self._kinds):
            if part.blobs:
                await self._send(part, self._routes.version)

    async def _reach_newcomers(self, routed: list[Routed]) -> None:
        """Publish to those who were not known when the messages were routed."""
        await until_available(self._routes.update)
        missed = []
        for message, _, plan, _, state in routed:
            newest = self._plan(message)
            if newest is not plan:
                missed.append(Routed(message, None, newest.beyond(plan), retain=False, state=state))
        for part in build(missed, self._kinds):
            if part.blobs or part.states:
                await self._send(part, self._routes.version)

    async def _send(self, part: Part, version: str) -> Published:
        number = next(self._numbers)

        async def attempt() -> Published:
            if reason := self._no_room():
                self._tell(reason)
                raise UnavailableError(reason)
            batch = Batch(
                node=self._identity.node,
                number=number,
                version=version,
                now=self._clock(),
                inbox_max=self._limits.inbox_max_bytes,
                queue_limits=self._limits.of_queues,
                retained_limits=self._limits.of_retained,
                guards=part.guards,
                inboxes=list(part.inboxes.items()),
                queues=part.queues,
                retained=part.retained,
                states=list(part.states.items()),
                positions=part.positions,
            )
            try:
                answer = await publish(self._scripts, batch, part.blobs)
            except UnavailableError as error:
                self._tell(str(error))
                raise
            if answer is None:
                # It becomes another one with its next heartbeat.
                raise UnavailableError("this node is not one of the cluster")
            self._tell(None)
            return answer

        answer = await until_available(attempt)
        self._dropped.inbox += answer.inbox_dropped
        self._dropped.add(answer.lost, self._log_throttle)
        self._dropped.retained += len(answer.retained_refused)
        for index in answer.retained_refused:
            _, topic, _, anonymous, _ = part.retained[index - 1]
            self._say_refused(topic, anonymous=anonymous)
        return answer

    def _say_refused(self, topic: str, *, anonymous: bool) -> None:
        setting = "RETAINED_ANONYMOUS_MAX" if anonymous else "RETAINED_MAX"
        if not self._log_throttle.lets_through(setting):
            return
        # The first level alone: what anonymous clients call their topics is theirs.
        _log.warning(
            "no room for a retained message: it was delivered, and nothing is retained on its topic",
            topic=topic.partition("/")[0] if anonymous else topic,
            see=f"{setting}, {setting}_BYTES",
        )

    def _tell(self, problem: str | None) -> None:
        if problem and not self.problem:
            _log.warning("nothing is published to others", reason=problem)
        elif self.problem and not problem:
            _log.info("messages are published to others")
        self.problem = problem
