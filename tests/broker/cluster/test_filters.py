"""The table of filters against the definition of a match, whatever is added and removed."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.cluster import filters as filter_table
from broker.cluster.filters import FilterTable
from state.routes import SubscriptionOptions
from tests.broker.test_topics import matches

levels = st.sampled_from(["a", "b", "", "$x", "+"])
filters = st.builds(
    lambda names, below: "/".join([*names, "#"] if below else names),
    st.lists(levels, min_size=0, max_size=4),
    st.booleans(),
).filter(bool)
topics = st.lists(st.sampled_from(["a", "b", "", "$x", "c"]), min_size=1, max_size=4).map("/".join).filter(bool)
changes = st.lists(
    st.tuples(filters, st.sampled_from(["one", "two", "three"]), st.sampled_from([None, 0, 1, 2])), max_size=40
)


def found(table: FilterTable, topic: str) -> list[tuple[str, str, int]]:
    return sorted((each.topic_filter, name, each.options.qos) for each in table.match(topic) for name in each.names)


@given(changed=changes, topic=topics)
def test_a_topic_is_wanted_by_whom_the_definition_says(changed: list[tuple[str, str, int | None]], topic: str) -> None:
    table = FilterTable()
    held: dict[tuple[str, str], int] = {}
    for topic_filter, name, qos in changed:
        if qos is None:
            held.pop((topic_filter, name), None)
            table.remove(topic_filter, name)
        else:
            held[topic_filter, name] = qos
            table.set(topic_filter, name, SubscriptionOptions(qos, positions=qos == 1))
    assert found(table, topic) == sorted(
        (topic_filter, name, qos) for (topic_filter, name), qos in held.items() if matches(topic_filter, topic)
    )
    for topic_filter, name in held:
        table.remove(topic_filter, name)
    assert not any(each._exact or each._below or each._endings for each in table._tables.values())


def test_very_many_filters_with_the_same_beginning_are_found_as_few_are() -> None:
    table = FilterTable()
    for number in range(1000):
        table.set(f"a/+/{number}", f"n{number}", SubscriptionOptions(1))
    table.set("a/+/+", "all", SubscriptionOptions(2))
    assert found(table, "a/$x/7") == [("a/+/+", "all", 2), ("a/+/7", "n7", 1)]
    for number in range(1000):
        table.remove(f"a/+/{number}", f"n{number}")
    assert found(table, "a/$x/7") == [("a/+/+", "all", 2)]


def of_a_client(client: str, number: int) -> str:
    return [
        "v1/zones/main/occupancy",
        f"devices/{client}/commands",
        f"devices/{client}/settings/#",
        f"chat/{client}/rooms/{number}",
        f"devices/{client}/+/state",
    ][number]


@pytest.mark.parametrize("shape", ["v1/zones/z{zone}/occupancy", "devices/{client}/commands/{number}", "mixed"])
def test_a_subscription_costs_less_than_two_hundred_bytes(shape: str) -> None:
    """4,000 clients of five subscriptions each."""
    table = FilterTable()
    tracemalloc.start()
    for number in range(4000):
        client = f"client-{number:06d}"
        for each in range(5):
            topic_filter = shape.format(client=client, number=each, zone=(number + each) % 200)
            table.set(
                of_a_client(client, each) if shape == "mixed" else topic_filter,
                f"client-{number:06d}",
                SubscriptionOptions(1),
            )
    # Only what is kept here and there: what ran before on this worker may have left a thread that allocates, too.
    here = [tracemalloc.Filter(inclusive=True, filename_pattern=name) for name in (__file__, filter_table.__file__)]
    snapshot = tracemalloc.take_snapshot().filter_traces(here)
    tracemalloc.stop()
    size = sum(trace.size for trace in snapshot.traces)
    assert 20 < size / 20_000 < 200
