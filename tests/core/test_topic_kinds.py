"""TOPIC_KINDS: further topics for positions, for apps that cannot choose theirs."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.errors import BadSettingsError
from core.kinds import DEFAULT_KINDS, Kinds, load_kinds
from core.topic_filters import Matched, TopicFilters

OWNTRACKS = "owntracks/+/+=mobile, trackers/+=car,fleet/ie/+/gps/+=car,single=car"


@pytest.fixture(scope="module")
def kinds() -> Kinds:
    return load_kinds(None, OWNTRACKS)


@pytest.mark.parametrize(
    ("topic", "kind", "whose"),
    [
        ("owntracks/ann/phone", "mobile", "ann/phone"),
        ("trackers/7", "car", "7"),
        ("fleet/ie/north/gps/12", "car", "north/12"),
        ("single", "car", None),
        ("owntracks/$SYS/#", "mobile", "$SYS/#"),
        # Empty levels are levels, and name nobody.
        ("owntracks//phone", "mobile", None),
        ("owntracks/ann/", "mobile", None),
        ("owntracks//", "mobile", None),
        ("trackers/", "car", None),
        # As ever.
        ("car-iotp", "car", None),
        ("mobile-iotp/owntracks/ann", "mobile", None),
        ("owntracks", None, None),
        ("owntracks/ann", None, None),
        ("owntracks/ann/phone/event", None, None),
        ("/owntracks/ann/phone", None, None),
        ("Owntracks/ann/phone", None, None),
        ("fleet/uk/north/gps/12", None, None),
        ("single/x", None, None),
        ("x/owntracks/ann", None, None),
        ("", None, None),
    ],
)
def test_a_topic_is_of_its_kind_and_says_whose_it_is(
    kinds: Kinds, topic: str, kind: str | None, whose: str | None
) -> None:
    assert kinds.ingest_kind(topic) == kind
    assert kinds.topic_id(topic) == whose


@pytest.mark.parametrize(
    ("topic", "unmapped"),
    [
        ("owntracks/ann/phone/event", True),
        ("owntracks", True),
        ("owntracks/", True),
        ("single/x", True),
        ("owntracks/ann/phone", False),
        ("car-iotp/x", False),
        ("owntracksx/ann/phone", False),
        ("x/owntracks/ann", False),
        ("", False),
    ],
)
def test_what_lies_beside_mapped_topics_is_told(kinds: Kinds, topic: str, *, unmapped: bool) -> None:
    assert kinds.is_unmapped(topic) is unmapped


def test_first_levels_are_those_of_the_kinds_and_then_of_the_mapped_topics(kinds: Kinds) -> None:
    assert kinds.ingest_levels == ("car-iotp", "mobile-iotp", "owntracks", "trackers", "fleet", "single")
    assert kinds.mapped_levels(kinds.parse("car")) == ("trackers", "fleet", "single")
    assert kinds.mapped_levels(kinds.parse("mobile")) == ("owntracks",)


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_without_the_setting_there_are_none(text: str) -> None:
    kinds = load_kinds(None, text)
    assert kinds.ingest_levels == kinds.topics == ("car-iotp", "mobile-iotp")
    assert (kinds.ingest_kind("owntracks/a/b"), kinds.topic_id("owntracks/a/b")) == (None, None)
    assert not kinds.is_unmapped("owntracks/a/b")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("owntracks/+/+", "'owntracks/+/+' is not filter=kind, as in owntracks/+/+=mobile"),
        ("owntracks/+/+=tram", "'tram' is not one of car, mobile"),
        ("owntracks/+/+=", "'' is not one of car, mobile"),
        ("=mobile", "a filter of topics has 1 to 200 printed characters, not ''"),
        (f"a/{'b' * 199}=car", "a filter of topics has 1 to 200 printed characters"),
        ("a/\0=car", "a filter of topics has 1 to 200 printed characters, not 'a/\\x00'"),
        ("owntracks/#=mobile", "'owntracks/#' has a #: write a + for each level"),
        ("#=mobile", "'#' has a #"),
        ("owntracks/a+=mobile", "'owntracks/a+' has a + that is not a whole level"),
        ("+/+=mobile", "'+/+' does not begin with a level that has a name, as owntracks/+/+ does"),
        ("+=mobile", "'+' does not begin with a level that has a name"),
        ("/owntracks/+=mobile", "'/owntracks/+' does not begin with a level that has a name"),
        ("v1/+=mobile", "topics that begin with 'v1' mean something else already"),
        ("devices/+=mobile", "topics that begin with 'devices' mean something else already"),
        ("$SYS/+=mobile", "topics that begin with '$SYS' mean something else already"),
        ("$share/+=mobile", "topics that begin with '$share' mean something else already"),
        ("car-iotp/+=mobile", "topics that begin with 'car-iotp' mean something else already"),
        ("a/+=car,a/b=mobile", "'a/+' and 'a/b' are true of the same topics"),
        ("a/b=car,a/b=car", "'a/b' and 'a/b' are true of the same topics"),
        ("a/+/c=car,x=car,a/b/+=car", "'a/+/c' and 'a/b/+' are true of the same topics"),
        (",".join(f"t{number}/+=car" for number in range(33)), "there are at most 32 of them, not 33"),
    ],
)
def test_what_cannot_work_is_said_with_the_name_of_the_setting(text: str, sentence: str) -> None:
    with pytest.raises(BadSettingsError) as raised:
        load_kinds(None, text)
    assert str(raised.value).startswith(f"TOPIC_KINDS: {sentence}")


def test_thirty_two_are_not_too_many() -> None:
    kinds = load_kinds(None, ",".join(f"t{number}/+=car" for number in range(32)))
    assert kinds.topic_id("t31/x") == "x"


level = st.sampled_from(["+", "a", "b", "owntracks", "", "$x", "é"])
filters = st.lists(level, min_size=1, max_size=4).map("/".join)
names = st.lists(st.sampled_from(["a", "b", "owntracks", "", "$x", "é", "c"]), min_size=1, max_size=4).map("/".join)


def is_true_of(topic_filter: str, topic: str) -> bool:
    wanted, levels = topic_filter.split("/"), topic.split("/")
    return len(wanted) == len(levels) and all(want in ("+", level) for want, level in zip(wanted, levels, strict=True))


@given(given_filters=st.lists(filters, max_size=4), topics=st.lists(names, max_size=8))
@example(given_filters=["a/+/b", "a/b/+"], topics=["a/b/b"])
@example(given_filters=["a/+", "a/+/+", "b/a"], topics=["a/", "a/b/c", "b/a"])
def test_of_whatever_is_taken_a_topic_has_one_filter_or_none(given_filters: list[str], topics: list[str]) -> None:
    try:
        found = TopicFilters(given_filters)
    except ValueError:
        return
    for topic in topics:
        true = [number for number, each in enumerate(given_filters) if is_true_of(each, topic)]
        assert len(true) <= 1
        matched = found.find(topic)
        assert ([] if matched is None else [matched.number]) == true
        if matched:
            assert found.covers(topic)
            # What was taken, put where the wildcards are, is the topic again.
            taken = iter(matched.taken.split("/"))
            rebuilt = [next(taken) if each == "+" else each for each in given_filters[matched.number].split("/")]
            assert "/".join(rebuilt) == topic


@given(some=filters, other=filters, topics=st.lists(names, min_size=20, max_size=40))
def test_two_filters_that_are_true_of_one_topic_are_never_taken_together(
    some: str, other: str, topics: list[str]
) -> None:
    if any(is_true_of(some, topic) and is_true_of(other, topic) for topic in topics):
        with pytest.raises(ValueError, match=r"true of the same topics|does not begin"):
            TopicFilters([some, other])


def test_a_filter_without_a_wildcard_takes_nothing() -> None:
    assert TopicFilters(["a/b"]).find("a/b") == Matched(0, "")


@given(text=st.text(max_size=40))
@example(text="owntracks/+/+=mobile,,")
@example(text="a=b=car")
def test_whatever_the_setting_says_it_is_taken_or_named_and_topics_of_kinds_stay(text: str) -> None:
    try:
        kinds = load_kinds(None, text)
    except BadSettingsError as error:
        kinds, said = DEFAULT_KINDS, str(error)
    else:
        said = "TOPIC_KINDS: "
    assert said.startswith("TOPIC_KINDS: ")
    for topic in ("car-iotp", "mobile-iotp/7", "v1/zones", "devices/x/refused", "$SYS/broker/uptime"):
        assert kinds.ingest_kind(topic) == DEFAULT_KINDS.ingest_kind(topic)
        assert not kinds.is_unmapped(topic)
