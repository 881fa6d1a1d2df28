"""Who wants what is published to which topics: names by topic filter, in as little memory as can be.

Each node has all subscriptions of all persistent sessions, so it is bytes that count. Most filters have no wildcard:
those are the keys of one dictionary, and a topic finds its own in one look. Of the others, what is before the first
wildcard is the key: a topic looks for each of its own beginnings, of which it has as many as levels. A name is kept
once, and what wants the same with other options is another table, so that a subscription needs nothing of its own.
"""

import sys
from collections.abc import Collection, Iterator
from typing import NamedTuple

from broker.protocol.topics import TopicTree
from state.routes import SubscriptionOptions

FEW = 8
"""Filters with the same beginning that are compared one by one; more of them are a tree."""
_Names = str | dict[str, None]
_Endings = tuple[tuple[str, _Names], ...] | TopicTree[str, _Names]


class Match(NamedTuple):
    """Those who want a topic by one filter, with the same options."""

    options: SubscriptionOptions
    topic_filter: str
    names: Collection[str]


class FilterTable:
    """Names by topic filter; a name has one set of options, of which there are few, for each of its filters."""

    __slots__ = ("_tables",)

    def __init__(self) -> None:
        self._tables: dict[SubscriptionOptions, _OneKind] = {}

    def set(self, topic_filter: str, name: str, options: SubscriptionOptions) -> None:
        """Let a name want what the filter matches, with these options instead of others."""
        self.remove(topic_filter, name, but=options)
        table = self._tables.get(options)
        if table is None:
            table = self._tables[options] = _OneKind()
        table.add(topic_filter, sys.intern(name))

    def remove(self, topic_filter: str, name: str, *, but: SubscriptionOptions | None = None) -> None:
        """Let a name want nothing by this filter, with whatever options; `but` those, where they are given."""
        for options, table in self._tables.items():
            if options != but:
                table.discard(topic_filter, name)

    def match(self, topic: str) -> Iterator[Match]:
        """Those who want what is published to a topic; a name once for each filter of its."""
        for options, table in self._tables.items():
            for topic_filter, names in table.match(topic):
                yield Match(options, topic_filter, (names,) if isinstance(names, str) else names)


class _OneKind:
    """The filters of those who have the same options."""

    __slots__ = ("_below", "_endings", "_exact")

    def __init__(self) -> None:
        self._exact: dict[str, _Names] = {}
        self._below: dict[str, _Names] = {}
        """By what is before a `#` that is the only wildcard."""
        self._endings: dict[str, _Endings] = {}
        """By what is before the first wildcard: what follows, and who wants that."""

    def add(self, topic_filter: str, name: str) -> None:
        beginning, ending = _split(topic_filter)
        if ending in ("", "#"):
            table = self._below if ending else self._exact
            table[beginning] = _with(table.get(beginning), name)
            return
        ending = sys.intern(ending)
        found = self._endings.get(beginning, ())
        if isinstance(found, TopicTree):
            found.set(_within(ending), ending, _with(found.get(_within(ending), ending), name))
            return
        others = tuple(each for each in found if each[0] != ending)
        names = next((names for each, names in found if each == ending), None)
        endings = (*others, (ending, _with(names, name)))
        if len(endings) <= FEW:
            self._endings[beginning] = endings
            return
        tree: TopicTree[str, _Names] = TopicTree()
        for each, wanting in endings:
            tree.set(_within(each), each, wanting)
        self._endings[beginning] = tree

    def discard(self, topic_filter: str, name: str) -> None:
        beginning, ending = _split(topic_filter)
        if ending in ("", "#"):
            table = self._below if ending else self._exact
            names = table.get(beginning)
            if names is None:
                return
            left = _without(names, name)
            if left is None:
                del table[beginning]
            else:
                table[beginning] = left
            return
        found = self._endings.get(beginning)
        if isinstance(found, TopicTree):
            names = found.get(_within(ending), ending)
            left = None if names is None else _without(names, name)
            if left is not None:
                found.set(_within(ending), ending, left)
            else:
                found.remove(_within(ending), ending)
                if not found:
                    del self._endings[beginning]
        elif found is not None:
            kept = tuple(
                (each, left)
                for each, names in found
                if (left := _without(names, name) if each == ending else names) is not None
            )
            if kept:
                self._endings[beginning] = kept
            else:
                del self._endings[beginning]

    def match(self, topic: str) -> Iterator[tuple[str, _Names]]:
        exact = self._exact.get(topic)
        if exact is not None:
            yield topic, exact
        below, endings = self._below, self._endings
        if not below and not endings:
            return
        # A filter that begins with a wildcard matches no topic that begins with `$` [MQTT-4.7.2-1].
        at = topic.find("/") + 1 or len(topic) + 1 if topic.startswith("$") else 0
        whole = f"{topic}/"
        while at <= len(topic):
            beginning = topic[:at]
            names = below.get(beginning)
            if names is not None:
                yield f"{beginning}#", names
            found = endings.get(beginning)
            if found is not None:
                yield from _matching(beginning, found, topic[at:])
            at = topic.find("/", at) + 1 or len(topic) + 1
        # `a/#` matches `a` as well (4.7.1.2).
        names = below.get(whole)
        if names is not None:
            yield f"{whole}#", names


def _split(topic_filter: str) -> tuple[str, str]:
    """What is before the first wildcard, and the rest from there on; wildcards are whole levels."""
    plus, rest = topic_filter.find("+"), topic_filter.find("#")
    first = min(plus, rest) if plus >= 0 and rest >= 0 else max(plus, rest)
    return (topic_filter, "") if first < 0 else (topic_filter[:first], topic_filter[first:])


def _within(ending: str) -> str:
    """An ending as trees have it: below a level of its own, for theirs is not the first one of the topic."""
    return f"x/{ending}"


def _matching(beginning: str, endings: _Endings, rest: str) -> Iterator[tuple[str, _Names]]:
    if isinstance(endings, TopicTree):
        for ending, names in endings.match(_within(rest)):
            yield beginning + ending, names
        return
    levels = rest.split("/")
    for ending, names in endings:
        if _matches(ending.split("/"), levels):
            yield beginning + ending, names


def _matches(ending: list[str], levels: list[str]) -> bool:
    for index, level in enumerate(ending):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(ending) == len(levels)


def _with(names: _Names | None, name: str) -> _Names:
    """Nearly all filters have one name: no dictionary for that."""
    if names is None:
        return name
    if isinstance(names, str):
        return names if names == name else {names: None, name: None}
    names[name] = None
    return names


def _without(names: _Names, name: str) -> _Names | None:
    if isinstance(names, str):
        return None if names == name else names
    names.pop(name, None)
    if len(names) == 1:
        return next(iter(names))
    return names or None
