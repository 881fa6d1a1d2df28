"""Which positions are to be believed, as far as the stage judge and the mark `implausible` tell."""

from collections.abc import Mapping
from typing import Any

from api.positions.query import Keeps, feature
from core.clock import parse_rfc3339
from core.marks import Mark
from documents import Document
from state.client import Redis
from state.marks import marks_of

HOUR_MS = 3_600_000
HOURS_KEPT = 3
"""Hours whose marks one answer has in memory: documents come in the order of time, and no hour comes twice."""


class Plausibility:
    """For one answer: what is looked up of an hour is looked up once."""

    def __init__(self, client: Redis, wanted: bool | None) -> None:  # noqa: FBT001 - as it was asked for
        """Positions are asked for that are plausible, or that are not; None: all, and nothing is looked up."""
        self._client = client
        self._wanted = wanted
        self._hours: dict[int, Mapping[str, frozenset[Mark]]] = {}

    @property
    def keeps(self) -> Keeps | None:
        """Whether a document is wanted, as `PositionQuery` asks it. It raises UnavailableError."""
        return None if self._wanted is None else self._keeps

    async def features(self, documents: list[Document]) -> list[dict[str, Any]]:
        """Positions as they are given, with the marks that were looked up. Raises UnavailableError."""
        if self._wanted is not False:
            return [feature(each) for each in documents]
        return [feature(each, await self._marks(each)) for each in documents]

    async def _keeps(self, document: Document) -> bool:
        plausible = not document["properties"].get("implausible") and not await self._marks(document)
        return plausible is self._wanted

    async def _marks(self, document: Document) -> frozenset[Mark]:
        at = parse_rfc3339(document["properties"]["observed_at"])
        hour = at - at % HOUR_MS
        if hour not in self._hours:
            if len(self._hours) >= HOURS_KEPT:
                del self._hours[next(iter(self._hours))]
            self._hours[hour] = await marks_of(self._client, hour)
        return self._hours[hour].get(document["properties"]["device"], frozenset())
