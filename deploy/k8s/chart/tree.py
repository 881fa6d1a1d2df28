"""A document with what a template decides in it: parts that are there under a condition, and places for values."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Node = Any
"""What YAML knows (dict, list, str, int, bool), and the classes below."""


@dataclass(frozen=True, slots=True)
class Hole:
    """An expression of Helm in the place of a scalar."""

    expression: str


@dataclass(frozen=True, slots=True)
class Lines:
    """An expression that makes lines, which `nindent` puts in their place; `rest` is what follows them in a mapping."""

    expression: str
    rest: Node = None


@dataclass(frozen=True, slots=True)
class With:
    """A value that may be empty, as YAML; then its key is not there either."""

    path: str


@dataclass(frozen=True, slots=True)
class When:
    """A value with its key, or an item of a list, which is there under a condition."""

    condition: str
    node: Node


@dataclass(frozen=True, slots=True)
class Either:
    """One value under a condition, and else another."""

    condition: str
    node: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Each:
    """An item of a list for each of what an expression of Helm ranges over."""

    loop: str
    node: Node


def negated(condition: str) -> str:
    """The opposite."""
    return f"not ({condition})" if " " in condition else f"not {condition}"


def change(tree: Node, before: Node, after: Node, condition: str) -> Node:
    """What `tree` is, if under `condition` what was `before` is `after`; dicts and lists are changed in place.

    Raises ValueError for a change that it knows no way to write down: an item of a list that is taken away.
    """
    if isinstance(tree, When):
        return When(tree.condition, change(tree.node, before, after, condition))
    if isinstance(before, dict) and isinstance(after, dict):
        _change_keys(tree, before, after, condition)
        return tree
    if isinstance(before, list) and isinstance(after, list):
        _change_items(tree, before, after, condition)
        return tree
    return Either(condition, after, tree)


def _change_keys(tree: dict[str, Node], before: dict[str, Node], after: dict[str, Node], condition: str) -> None:
    for key in after.keys() - before.keys():
        if key in tree:
            raise ValueError(f"{key} is there under two conditions")
    for key, value in after.items():
        if key not in before:
            tree[key] = When(condition, value)
        elif before[key] != value:
            tree[key] = change(tree[key], before[key], value, condition)
    for key in sorted(before.keys() - after.keys()):
        tree[key] = When(negated(condition), tree[key])


def _change_items(tree: list[Node], before: list[Node], after: list[Node], condition: str) -> None:
    """Items stay those that they were by their name, or else by being the same; new ones come where they are."""
    base = [place for place, node in enumerate(tree) if not isinstance(node, When)]
    if len(base) != len(before):
        raise ValueError("a list was changed by others")
    was = 0
    added = 0
    for item in after:
        if was < len(before) and _same(before[was], item):
            place = base[was] + added
            if before[was] != item:
                tree[place] = change(tree[place], before[was], item, condition)
            was += 1
        else:
            place = (base[was] if was < len(before) else len(tree) - added) + added
            tree.insert(place, When(condition, item))
            added += 1
    if was != len(before):
        raise ValueError(f"{before[was]} is taken out of a list")


def _same(before: Node, after: Node) -> bool:
    if isinstance(before, dict) and isinstance(after, dict) and "name" in before:
        return bool(before["name"] == after.get("name"))
    return bool(before == after)


def find(tree: Node, keys: Iterable[str]) -> tuple[Node, Node]:
    """The mapping or list that has what `keys` lead to, and its key there. An item of a list is its name or its number.

    Raises KeyError where there is none; the last key may be one that is missing.
    """
    *way, last = keys
    for key in way:
        tree = plain(tree)[_place(tree, key)]
    return plain(tree), _place(tree, last)


def plain(node: Node) -> Node:
    """It without its conditions."""
    while isinstance(node, When):
        node = node.node
    return node


def _place(tree: Node, key: str) -> Node:
    tree = plain(tree)
    if isinstance(tree, dict):
        return key
    for place, item in enumerate(tree):
        if isinstance(plain(item), dict) and plain(item).get("name") == key:
            return place
    if key.isdigit() and int(key) < len(tree):
        return int(key)
    raise KeyError(key)
