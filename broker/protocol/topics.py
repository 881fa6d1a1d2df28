"""Topic names and topic filters (MQTT 3.1.1, 4.7), and a tree that finds the filters that match a name."""

from collections.abc import Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

MIRROR = "v1"
"""The first level of the topics that the API publishes its resources to."""


def filter_problem(topic_filter: str) -> str | None:
    """What is wrong with a topic filter, with its clause; None if nothing is."""
    if not topic_filter:
        return "[MQTT-4.7.3-1] an empty topic filter"
    if "\0" in topic_filter:
        return "[MQTT-4.7.3-2] a topic filter with a null character"
    levels = topic_filter.split("/")
    if any("#" in level and (level != "#" or index < len(levels) - 1) for index, level in enumerate(levels)):
        return "[MQTT-4.7.1-2] a # that is not the whole last level"
    if any("+" in level and level != "+" for level in levels):
        return "[MQTT-4.7.1-3] a + that is not a whole level"
    return None


def must_be_named(topic: str) -> bool:
    """Whether a topic reaches services alone by a filter that begins with a wildcard, as topics with `$` reach nobody.

    It is so with the mirror: whoever listens to `#` or `+/+` for what other clients say gets nothing of it.
    """
    return topic.partition("/")[0] == MIRROR


class _Level(Generic[Key, Value]):
    __slots__ = ("below", "here")

    def __init__(self) -> None:
        self.below: dict[str, _Level[Key, Value]] = {}
        self.here: dict[Key, Value] = {}


class TopicTree(Generic[Key, Value]):
    """Values by topic filter and key, found by topic name.

    A filter may hold any number of keys, and a key any number of filters.
    """

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: _Level[Key, Value] = _Level()

    def get(self, topic_filter: str, key: Key) -> Value | None:
        """What is held for exactly this filter and key."""
        return self.at(topic_filter).get(key)

    def at(self, topic_filter: str) -> dict[Key, Value]:
        """All that is held for exactly this filter; not to be changed."""
        level = self._root
        for name in topic_filter.split("/"):
            found = level.below.get(name)
            if found is None:
                return {}
            level = found
        return level.here

    def set(self, topic_filter: str, key: Key, value: Value) -> None:
        """Hold a value, instead of the one that is held for this filter and key, if any."""
        level = self._root
        for name in topic_filter.split("/"):
            found = level.below.get(name)
            if found is None:
                found = level.below[name] = _Level()
            level = found
        level.here[key] = value

    def remove(self, topic_filter: str, key: Key) -> Value | None:
        """Forget what is held for exactly this filter and key, and give it; None if there was nothing."""
        path = [self._root]
        names = topic_filter.split("/")
        for name in names:
            found = path[-1].below.get(name)
            if found is None:
                return None
            path.append(found)
        value = path[-1].here.pop(key, None)
        for name in reversed(names):
            level = path.pop()
            if level.here or level.below:
                break
            del path[-1].below[name]
        return value

    def match(self, topic: str, *, leading_wildcards: bool = True) -> Iterator[tuple[Key, Value]]:
        """All keys and values whose filters match a topic name; a key once for each such filter of its.

        A filter that begins with a wildcard matches no topic that begins with `$` [MQTT-4.7.2-1], and none at all where
        `leading_wildcards` are not wanted.
        """
        leading_wildcards = leading_wildcards and not topic.startswith("$")
        names = topic.split("/")
        levels = [self._root]
        for index, name in enumerate(names):
            wild = index > 0 or leading_wildcards
            following = []
            for level in levels:
                below = level.below
                if not below:
                    continue
                if wild:
                    rest = below.get("#")
                    if rest is not None:
                        yield from rest.here.items()
                    one = below.get("+")
                    if one is not None:
                        following.append(one)
                exact = below.get(name)
                if exact is not None:
                    following.append(exact)
            levels = following
        for level in levels:
            yield from level.here.items()
            # `a/#` matches `a` as well (4.7.1.2).
            rest = level.below.get("#")
            if rest is not None:
                yield from rest.here.items()

    def __bool__(self) -> bool:
        return bool(self._root.below)
