"""What a batch does to presence and windows, in the partitions of its devices. To do it again does no harm."""

import asyncio
from collections import deque
from collections.abc import Callable
from zoneinfo import ZoneInfo

from core.kinds import Kinds
from core.messages import Position
from decoder.batch import Batch
from state.client import Redis
from state.devices import Settling
from state.durability import Writes
from state.effect_parts import MAX_WORK, Outside, Part, Room, Said, parts, work_of_each
from state.effects import Applied, PartitionEffects, StaleFenceError, TooMuchError

__all__ = ["Applied", "Effects", "StaleFenceError"]


class Effects:
    """Applies batches; the observers of all partitions may share one."""

    def __init__(
        self,
        *,
        client: Redis,
        partitions: int,
        kinds: Kinds,
        zone: ZoneInfo,
        away: Callable[[str], str],
        presence_ttl: int,
        rollup_every: float,
        dead_letters_max: int,
        implausible_speed: float,
        settling: Settling | None = None,
        writes: Writes | None = None,
    ) -> None:
        """`zone` is whose days the 1d windows are; `presence_ttl` and `rollup_every` are in seconds.

        `away` makes the second hash of a device (`runtime.devices`); `implausible_speed` is in m/s.
        `settling` and `writes` are as `state.effects` has them.
        """
        self._partitions = [
            PartitionEffects(
                client=client,
                room=Room(partition, partitions, zone, away, int(rollup_every * 1000)),
                kinds=kinds,
                presence_ttl_ms=presence_ttl * 1000,
                dead_letters_max=dead_letters_max,
                implausible_speed=implausible_speed,
                settling=settling,
                writes=writes,
            )
            for partition in range(partitions)
        ]
        self._work_each = [0.0] * partitions
        """How much work a position was in the batch before, so that the next one is cut before it is made."""

    async def apply(self, batch: Batch, *, now: int) -> Applied:
        """Add a batch to presence and windows, in scripts of bounded work; what is done once is `state.raw`'s.

        `now` is in milliseconds since the epoch. Raises StaleFenceError. Raises UnavailableError if Redis does not
        answer: it may be done or not, in some partitions or in all, and is to be tried again.
        """
        if batch.partitions is None:
            return await self._apply(0, batch, batch.positions, batch.said, batch.outside, now)
        indices: dict[int, list[int]] = {}
        for index, partition in enumerate(batch.partitions):
            indices.setdefault(partition, []).append(index)
        outside: dict[int, list[Outside]] = {}
        for each in batch.outside:
            outside.setdefault(each.partition, []).append(each)
        touched = sorted(indices.keys() | outside.keys())
        # All of them to their end, whatever becomes of one: what is cut off may be done all the same.
        found = await asyncio.gather(
            *(
                self._apply(
                    partition,
                    batch,
                    [batch.positions[index] for index in indices.get(partition, ())],
                    None if batch.said is None else [batch.said[index] for index in indices.get(partition, ())],
                    outside.get(partition, []),
                    now,
                )
                for partition in touched
            ),
            return_exceptions=True,
        )
        unreadable, implausible = 0, []
        for partition, applied in zip(touched, found, strict=True):
            if isinstance(applied, BaseException):
                raise applied
            unreadable += applied.unreadable
            implausible += [indices[partition][index] for index in applied.implausible]
        return Applied(unreadable, sorted(implausible))

    async def _apply(  # noqa: PLR0917 - of one batch, in one order
        self,
        partition: int,
        batch: Batch,
        positions: list[Position],
        said: list[Said] | None,
        outside: list[Outside],
        now: int,
    ) -> Applied:
        effects = self._partitions[partition]
        implausible: list[int] = []
        first = gone = unreadable = passed = 0
        made = parts(positions, outside, effects.room, now=now, work_each=self._work_each[partition], said=said)
        self._work_each[partition] = work_of_each(made)
        waiting, done = deque(made), list[Part]()
        while waiting:
            part = waiting.popleft()
            end, gone_end = first + part.positions, gone + len(part.fields["outside"])
            try:
                applied = await effects.apply(part, number=batch.number, now=now, version=batch.fence)
            except TooMuchError as error:
                pieces = parts(
                    positions[first:end],
                    outside[gone:gone_end],
                    effects.room,
                    now=now,
                    work_each=error.pieces * MAX_WORK / (end - first + gone_end - gone),
                    said=None if said is None else said[first:end],
                )
                waiting.extendleft(reversed(pieces))
                continue
            done.append(part)
            unreadable += applied.unreadable
            implausible += [first + index for index in applied.implausible]
            first, gone = end, gone_end
            passed += applied.passed
        self._work_each[partition] = work_of_each(done, passed)
        return Applied(unreadable, implausible)
