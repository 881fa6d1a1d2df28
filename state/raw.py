"""The end of raw entries: what must be done once when the effects of their messages are there.

Effects may be repeated, the rest may not: totals, dead letters, positions for the archive. So that is one script
together with the acknowledgement, where `raw` lies (`state/lua/finish.lua`). The keys are told in `state.streams`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import cast

import msgspec

from core.messages import DeadLetter, Position, encode_positions
from state import streams
from state.client import Redis, redis_errors
from state.lua import lua


class Raw:
    """The raw streams of all partitions."""

    def __init__(self, *, client: Redis, dead_letters_max: int) -> None:
        self._client = client
        self._dead_letters_max = dead_letters_max
        self._finish = client.register_script(lua("trim", "totals", "finish"))
        self._trim = client.register_script(lua("trim") + "return trim(KEYS[1])")

    async def finish(
        self,
        partition: int,
        entry_ids: Sequence[bytes],
        *,
        positions: Sequence[Position] = (),
        implausible: Sequence[int] = (),
        letters: Sequence[DeadLetter] = (),
        totals: Counter[str],
    ) -> int:
        """Do what is done once, acknowledge the entries that it came from, and cut them off; how many entries.

        Nothing is done, and the answer is 0, if none of them is pending any more. `implausible` are indices of
        `positions`; dead letters are counted by this. Raises Unavailable if Redis does not answer: it may be done or
        not, and is to be tried again.
        """
        fields = [letter.encode() for letter in letters]
        counts = totals + Counter(f"{streams.DEAD_TOTAL}{letter.reason}" for letter in letters)
        given = msgspec.msgpack.encode(
            {
                "entries": [entry_id.decode() for entry_id in entry_ids],
                "marked": ",".join(map(str, implausible)),
                "totals": list(counts.items()),
                "letters": [2 * len(each) for each in fields],
                "letters_max": self._dead_letters_max,
            }
        )
        stream = streams.raw(partition)
        with redis_errors():
            answer = await self._finish(
                keys=[stream, streams.positions(partition), streams.DEAD, streams.TOTALS],
                args=[
                    streams.OBSERVE_GROUP,
                    given,
                    encode_positions(list(positions)) if positions else b"",
                    *(text for each in fields for pair in each.items() for text in pair),
                ],
            )
            entries, left = cast("tuple[int, int]", answer)
            while left:
                left = await self._trim(keys=[stream])
        return entries
