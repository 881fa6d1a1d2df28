"""The shape of JSON: names of members and types of values, and nothing of what they hold."""

from typing import Any

from decoder.names import meaning

MAX_CHARACTERS = 400
_VALUES = 300
_DEPTH = 8
_MEMBERS = 20
_ITEMS = 50
_KINDS_OF_ITEMS = 3
_MORE = "..."
_TYPES: dict[type, str] = {str: "text", bool: "boolean", int: "number", float: "number", type(None): "null"}


def shape_of(value: object) -> str:
    """As `{type: text, geometry: {coordinates: [2 number]}}`; a name that is not known (decoder/names.py) is `?`."""
    shape = _Shaper().shape(value, _DEPTH)
    return shape if len(shape) <= MAX_CHARACTERS else shape[: MAX_CHARACTERS - len(_MORE)] + _MORE


class _Shaper:
    """Looks at so many values and no more."""

    def __init__(self) -> None:
        self._left = _VALUES

    def shape(self, value: object, depth: int) -> str:
        self._left -= 1
        if isinstance(value, dict):
            return f"{{{self._members(value, depth) if depth and self._left > 0 else _MORE}}}"
        if isinstance(value, list):
            return f"[{self._items(value, depth) if depth and self._left > 0 else _MORE}]"
        return _TYPES.get(type(value), "?")

    def _members(self, members: dict[str, Any], depth: int) -> str:
        told = [
            f"{name.lower() if meaning(name) else '?'}: {self.shape(value, depth - 1)}"
            for name, value in list(members.items())[:_MEMBERS]
        ]
        return ", ".join(dict.fromkeys(told)) + (f", {_MORE}" if len(members) > _MEMBERS else "")

    def _items(self, items: list[Any], depth: int) -> str:
        """How many there are, and what kinds of them."""
        if not items:
            return ""
        kinds = list(dict.fromkeys(self.shape(item, depth - 1) for item in items[:_ITEMS]))
        several = " or ".join(kinds[:_KINDS_OF_ITEMS]) + (f" or {_MORE}" if len(kinds) > _KINDS_OF_ITEMS else "")
        return f"{len(items)} {several}"
