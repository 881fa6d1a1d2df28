import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.protocol.topics import TopicTree, filter_problem

# An empty level is a level, and `$` counts at the beginning alone.
levels = st.sampled_from(["a", "b", "", "$a", "a b", "\u00e9"])
topics = st.lists(levels, min_size=1, max_size=4).map("/".join).filter(bool)
filters = st.builds(
    lambda names, end: "/".join([*names, *end]),
    st.lists(levels | st.just("+"), min_size=0, max_size=4),
    st.sampled_from([[], ["#"]]),
).filter(bool)
entries = st.lists(st.tuples(filters, st.sampled_from(["x", "y"]), st.integers(0, 9)), max_size=12)


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter matches a topic, word by word as 4.7 of the standard has it."""
    if topic.startswith("$") and topic_filter[0] in "+#":
        return False
    wanted, names = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        names = names[: len(wanted)]
    return len(wanted) == len(names) and all(want in {"+", name} for want, name in zip(wanted, names, strict=True))


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        # The examples of 4.7.1 and 4.7.2.
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/", True),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
        ("ACCOUNTS", "Accounts", False),
        ("/finance", "finance", False),
    ],
)
def test_filters_match_as_the_standard_says(topic_filter: str, topic: str, *, expected: bool) -> None:
    tree: TopicTree[str, None] = TopicTree()
    tree.set(topic_filter, "key", None)
    assert list(tree.match(topic)) == ([("key", None)] if expected else [])
    assert matches(topic_filter, topic) is expected


@given(held=entries, topic=topics)
def test_a_tree_finds_what_a_comparison_with_each_filter_finds(held: list[tuple[str, str, int]], topic: str) -> None:
    tree: TopicTree[str, int] = TopicTree()
    expected: dict[tuple[str, str], int] = {}
    for topic_filter, key, value in held:
        tree.set(topic_filter, key, value)
        expected[topic_filter, key] = value
    found = sorted((key, value) for (topic_filter, key), value in expected.items() if matches(topic_filter, topic))
    assert sorted(tree.match(topic)) == found
    for (topic_filter, key), value in expected.items():
        assert tree.get(topic_filter, key) == value


@given(held=entries, gone=st.lists(st.tuples(filters, st.sampled_from(["x", "y"])), max_size=12), topic=topics)
def test_what_is_removed_is_found_no_more_and_leaves_the_rest(
    held: list[tuple[str, str, int]], gone: list[tuple[str, str]], topic: str
) -> None:
    tree: TopicTree[str, int] = TopicTree()
    expected: dict[tuple[str, str], int] = {}
    for topic_filter, key, value in held:
        tree.set(topic_filter, key, value)
        expected[topic_filter, key] = value
    for topic_filter, key in gone:
        assert tree.remove(topic_filter, key) == expected.pop((topic_filter, key), None)
    found = sorted((key, value) for (topic_filter, key), value in expected.items() if matches(topic_filter, topic))
    assert sorted(tree.match(topic)) == found


@given(held=entries)
def test_a_tree_of_which_all_is_removed_is_empty(held: list[tuple[str, str, int]]) -> None:
    tree: TopicTree[str, int] = TopicTree()
    for topic_filter, key, value in held:
        tree.set(topic_filter, key, value)
    assert bool(tree) is bool(held)
    for topic_filter, key, _ in held:
        tree.remove(topic_filter, key)
    assert not tree


@pytest.mark.parametrize("topic_filter", ["#", "+", "+/+", "a/+/b", "a/#", "/", "/#", "//", "a b", "$SYS/#"])
def test_good_filters_have_no_problem(topic_filter: str) -> None:
    assert filter_problem(topic_filter) is None


@pytest.mark.parametrize(
    ("topic_filter", "clause"),
    [
        ("", "MQTT-4.7.3-1"),
        ("a\0b", "MQTT-4.7.3-2"),
        ("a#", "MQTT-4.7.1-2"),
        ("#/a", "MQTT-4.7.1-2"),
        ("a/#/b", "MQTT-4.7.1-2"),
        ("a/b#", "MQTT-4.7.1-2"),
        ("a+", "MQTT-4.7.1-3"),
        ("a/+b/c", "MQTT-4.7.1-3"),
        ("++", "MQTT-4.7.1-3"),
    ],
)
def test_bad_filters_break_a_clause(topic_filter: str, clause: str) -> None:
    assert clause in (filter_problem(topic_filter) or "")
