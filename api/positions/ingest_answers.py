"""What whoever sends positions is told: what is kept and will be counted, and what cannot be used, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from api.http.instants import Rfc3339
from api.http.kinds import Kind
from api.http.problems import ProblemError, WrongPosition
from core.errors import Reason
from payloads import Refusal


@dataclass(frozen=True, slots=True)
class RefusedPosition:
    """One of several positions, which cannot be used: it becomes a dead letter."""

    index: Annotated[int, Field(description="Which of those that were sent, from 0.", examples=[2])]
    reason: Annotated[
        Reason, Field(description="The reason, as dead letters and counters have it.", examples=["no_device"])
    ]
    detail: Annotated[
        str, Field(description="What is wrong with it.", examples=["no device_id, and the MQTT user is not a device"])
    ]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is kept, and will be decoded."""

    kind: Annotated[Kind, Field(description="What its devices are.", examples=["car"])]
    received_at: Annotated[
        Rfc3339,
        Field(
            description="When it was received, RFC 3339, UTC: what a position without a time counts for.",
            examples=["2019-02-18T08:58:06.120Z"],
        ),
    ]
    taken: Annotated[
        int, Field(description="Positions that can be used, on the campus or not: no answer tells which.", examples=[1])
    ]
    ignored: Annotated[
        int,
        Field(description="What apps send beside positions: nothing is wrong, and nothing is done.", examples=[0]),
    ]
    refused: Annotated[
        list[RefusedPosition],
        Field(
            description="Each position that cannot be used. Where it is all of them, the answer is 422, but to apps "
            "that would send the same again for ever (OwnTracks, Overland)."
        ),
    ]
    result: Annotated[
        Literal["ok"],
        Field(description="Always `ok`: the app Overland sends everything again until it reads this.", examples=["ok"]),
    ] = "ok"


def refused_positions(refused: Sequence[Refusal]) -> list[RefusedPosition]:
    """Those of which each has an index, as an answer names them."""
    return [RefusedPosition(each.index or 0, each.error.reason, each.error.detail) for each in refused]


def nothing_usable(refused: Sequence[Refusal]) -> ProblemError:
    """422 for a message of which nothing can be used, or 413 where that is for its size; it says of each why."""
    first = refused[0].error
    if first.reason is Reason.TOO_LARGE:
        return too_large(first.detail)
    if refused[0].index is None:
        return unusable(first.reason, first.detail)
    return _problem(
        f"None of {len(refused)} positions can be used. The first: {first.detail}"
        if len(refused) > 1
        else f"The only position in it cannot be used: {first.detail}",
        [WrongPosition("body", each.error.detail, each.error.reason, each.index) for each in refused],
    )


def unusable(reason: Reason, detail: str) -> ProblemError:
    """422 for a message that cannot be used as a whole."""
    return _problem(f"The body cannot be used: {detail}", [WrongPosition("body", detail, reason, None)])


def too_large(detail: str) -> ProblemError:
    """413, with a sentence on what is too large."""
    return ProblemError(
        status=413,
        type_="/docs#too-large",
        title="The body is too large",
        detail=f"{detail}: send the positions in several messages.",
    )


def _problem(detail: str, errors: Sequence[WrongPosition]) -> ProblemError:
    return ProblemError(
        status=422,
        type_="/docs#no-position",
        title="No position can be used",
        detail=detail,
        errors=errors,
    )
