"""The members of answers that are made of released counts, and are left out where counts are true."""

from typing import Annotated, Any

from msgspec import UNSET
from pydantic import Field

Protected = Annotated[
    bool,
    Field(
        description="There, and true, where counts are released ones: not the true ones, which nobody is told "
        "(`PRIVACY`). That of a window is the mean of what was released in it, and not of distinct devices.",
        examples=[True],
    ),
]
ReleasedBasis = Annotated[
    list[str],
    Field(
        description="There with `protected`: what released counts say, and what they do not, in sentences for people.",
        examples=[["Counts are released counts: they follow how many are present in steps of 130."]],
    ),
]


def unset() -> Any:  # noqa: ANN401 - msgspec's mark for a member that is left out, whatever its type
    """That a member is left out."""
    return UNSET
