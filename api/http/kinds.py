"""Kinds as requests name them, and as the OpenAPI document has them."""

from typing import Any

from pydantic import AfterValidator
from pydantic_core import PydanticKnownError
from typing_extensions import TypeAliasType

from core.kinds import KindId, Kinds, listed

Kind = TypeAliasType("Kind", KindId)
"""The id of a kind. It has a schema of its own in the OpenAPI document, `Kind`, which `kind_schema` makes."""


def known(kinds: Kinds) -> AfterValidator:
    """What refuses a kind that is not in the table, in the words in which enumerations are refused."""
    expected = listed((repr(kind) for kind in kinds.ids), "or")

    def check(kind: KindId) -> KindId:
        if kind not in kinds.ids:
            raise PydanticKnownError("enum", {"expected": expected})
        return kind

    return AfterValidator(check)


def kind_schema(kinds: Kinds) -> dict[str, Any]:
    """What the OpenAPI document says of kinds."""
    told = (f"{kind.many}, which stand for the students who carry them" if kind.person else kind.many for kind in kinds)
    return {
        "type": "string",
        "enum": [*kinds.ids],
        "title": "Kind",
        "description": f"What is counted: {listed(told, 'and', comma=True)}.",
    }
