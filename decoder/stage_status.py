"""Which stages wait at present, and for what: each partition of a stage on its own."""

from collections.abc import Mapping


class StageStatus:
    """What /readyz answers from."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, int | None], str] = {}
        self._held: dict[str, str] = {}

    def begins(self, stage: str, partition: int | None, reason: str) -> bool:
        """Note that a stage, or one partition of it, waits; whether that is news."""
        news = (stage, partition) not in self._reasons
        self._reasons[stage, partition] = reason
        return news

    def ends(self, stage: str, partition: int | None) -> bool:
        """Note that it waits no longer; whether it did."""
        return self._reasons.pop((stage, partition), None) is not None

    def holds(self, held: Mapping[str, str]) -> None:
        """Note what waits while its stage goes on with other things, by reason."""
        self._held = dict(held)

    def sentence(self) -> str | None:
        """All of them; partitions that wait for the same are named together. None when none waits."""
        together: dict[tuple[str, str], list[int]] = {}
        for (stage, partition), reason in self._reasons.items():
            partitions = together.setdefault((stage, reason), [])
            if partition is not None:
                partitions.append(partition)
        sentences = [f"{stage}{_named(where)} waits: {reason}" for (stage, reason), where in together.items()]
        sentences += [f"{what}: {reason}" for reason, what in self._held.items()]
        return "; ".join(sentences) or None


def _named(partitions: list[int]) -> str:
    if not partitions:
        return ""
    return f" (partition{'s' if len(partitions) > 1 else ''} {', '.join(map(str, sorted(partitions)))})"
