"""What a batch does to presence and windows, in the partitions of its devices. To do it again does no harm."""

import asyncio
from collections.abc import Callable
from zoneinfo import ZoneInfo

from core.kinds import Kinds
from core.messages import Position
from decoder.batch import Batch
from state.client import Redis
from state.durability import Writes
from state.effect_parts import Outside, Room, parts, work_of_each
from state.effects import Applied, PartitionEffects, StaleFenceError

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
        writes: Writes | None = None,
    ) -> None:
        """`zone` is whose days the 1d windows are; `presence_ttl` and `rollup_every` are in seconds.

        `away` makes the second hash of a device (`runtime.devices`); `implausible_speed` is in m/s.
        `writes` is as `state.effects` has it.
        """
        self._partitions = [
            PartitionEffects(
                client=client,
                room=Room(partition, partitions, zone, away, int(rollup_every * 1000)),
                kinds=kinds,
                presence_ttl_ms=presence_ttl * 1000,
                dead_letters_max=dead_letters_max,
                implausible_speed=implausible_speed,
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
            return await self._apply(0, batch, batch.positions, batch.outside, now)
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

    async def _apply(
        self, partition: int, batch: Batch, positions: list[Position], outside: list[Outside], now: int
    ) -> Applied:
        effects = self._partitions[partition]
        implausible: list[int] = []
        first = unreadable = 0
        made = parts(positions, outside, effects.room, now=now, work_each=self._work_each[partition])
        self._work_each[partition] = work_of_each(made)
        for part in made:
            applied = await effects.apply(part, number=batch.number, now=now)
            unreadable += applied.unreadable
            implausible += [first + index for index in applied.implausible]
            first += part.positions
        return Applied(unreadable, implausible)
