"""The table of kinds: what may be in it, and what follows from it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadSettingsError
from core.kinds import DEFAULT_KINDS, TAKEN_IDS, Kinds, Role, load_kinds

CAR = {
    "id": "car",
    "topic": "car-iotp",
    "label": {"en": ["car", "cars"]},
    "person": False,
    "capacity_of": ["car_park"],
    "colour": {"light": "#9a5b00", "dark": "#f0b35a"},
}
BICYCLE = {
    "id": "bicycle",
    "topic": "bike-iotp",
    "label": {"en": ["bicycle", "bicycles"], "ga": ["rothar", "rothair"]},
    "person": False,
    "capacity_of": ["bicycle_park"],
    "colour": {"light": "#6a3fa0", "dark": "#c7a6f2"},
}


def table(tmp_path: Path, *entries: dict[str, Any]) -> Kinds:
    path = tmp_path / "kinds.json"
    path.write_text(json.dumps({"kinds": entries}))
    return load_kinds(path)


def test_without_a_file_they_are_cars_and_phones() -> None:
    kinds = load_kinds(None)
    assert [(kind.id, kind.topic, kind.one, kind.many, kind.person) for kind in kinds] == [
        ("car", "car-iotp", "car", "cars", False),
        ("mobile", "mobile-iotp", "phone", "phones", True),
    ]
    assert [sorted(kind.capacity_of) for kind in kinds] == [["car_park"], []]
    assert [(kind.colour.light, kind.colour.dark) for kind in kinds] == [
        ("#9a5b00", "#f0b35a"),
        ("#1d5fa8", "#8abcf6"),
    ]
    assert kinds.many == "cars and phones"


def test_one_entry_more_is_a_kind_more_with_its_topic_and_its_role(tmp_path: Path) -> None:
    kinds = table(tmp_path, CAR, BICYCLE)
    assert kinds.ids == ("car", "bicycle")
    assert kinds.topics == ("car-iotp", "bike-iotp")
    assert [role.name for role in kinds.roles] == ["anonymous", "car", "bicycle", "gateway", "service", "app"]
    assert [role.kind for role in kinds.roles] == [None, "car", "bicycle", None, None, None]
    assert kinds.role("bicycle") == Role("bicycle", kinds.parse("bicycle"))
    assert kinds[kinds.parse("bicycle")].label["ga"] == ("rothar", "rothair")
    assert kinds.many == "cars and bicycles"


def test_one_kind_alone_is_a_table(tmp_path: Path) -> None:
    kinds = table(tmp_path, BICYCLE)
    assert (len(kinds), kinds.many) == (1, "bicycles")


def test_the_order_of_the_file_is_the_order_of_the_table(tmp_path: Path) -> None:
    assert table(tmp_path, BICYCLE, CAR).ids == ("bicycle", "car")


def test_a_topic_and_what_is_below_it_are_of_its_kind() -> None:
    assert [DEFAULT_KINDS.ingest_kind(topic) for topic in ("car-iotp", "mobile-iotp", "car-iotp/7/gps")] == [
        "car",
        "mobile",
        "car",
    ]
    assert [DEFAULT_KINDS.ingest_kind(topic) for topic in ("car-iotp2", "", "/car-iotp", "v1/zones", "car")] == [
        None
    ] * 5


def test_what_is_not_in_the_table_is_said_with_what_is() -> None:
    with pytest.raises(ValueError, match=r"^'tram' is not one of car, mobile$"):
        DEFAULT_KINDS.parse("tram")
    with pytest.raises(ValueError, match=r"^'tram' is not one of anonymous, car, mobile, gateway, service, app$"):
        DEFAULT_KINDS.role("tram")


def test_roles_that_are_no_devices_are_the_same_in_each_table(tmp_path: Path) -> None:
    kinds = table(tmp_path, BICYCLE)
    assert kinds.role("anonymous") is Role.ANONYMOUS
    assert kinds.role("gateway") is Role.GATEWAY
    assert kinds.role("service") is Role.SERVICE
    assert [str(role) for role in kinds.device_roles] == ["bicycle"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"id": ""}, "an id is a small letter and up to 15 small letters, digits and underscores"),
        ({"id": "Tram"}, "not 'Tram'"),
        ({"id": "a:b"}, "not 'a:b'"),
        ({"id": "7up"}, "an id is a small letter"),
        ({"id": "a" * 17}, "an id is a small letter and up to 15"),
        ({"id": "vélo"}, "an id is a small letter and up to 15"),
        ({"id": "car\n"}, "an id is a small letter and up to 15"),
        ({"id": "total"}, "'total' cannot be an id, for it means something else already"),
        ({"id": "newest_input_at"}, "'newest_input_at' cannot be an id"),
        ({"id": "gateway"}, "'gateway' cannot be an id"),
        ({"id": 7}, "Expected `str`, got `int` - at `$.kinds[0].id`"),
        ({"topic": "v1"}, "and none of app-versions, apps, devices, v1, not 'v1'"),
        ({"topic": "devices"}, "and none of app-versions, apps, devices, v1, not 'devices'"),
        ({"topic": "a/b"}, "a topic is one level"),
        ({"topic": "a+"}, "a topic is one level"),
        ({"topic": "#"}, "a topic is one level"),
        ({"topic": "$SYS"}, "a topic is one level"),
        ({"topic": ""}, "a topic is one level"),
        ({"label": {"ga": ["rothar", "rothair"]}}, "the label of 'car' says nothing in English (en)"),
        ({"label": {"en": ["car"]}}, "Expected `array` of length 2"),
        ({"label": {"en": ["car", ""]}}, "a label has 1 to 40 printed characters, not ''"),
        ({"label": {"en": ["c" * 41, "cars"]}}, "a label has 1 to 40 printed characters"),
        ({"label": {"en": ["car", "cars\n"]}}, "a label has 1 to 40 printed characters"),
        ({"label": {"en": ["car", " cars"]}}, "a label has 1 to 40 printed characters"),
        ({"label": {"en": ["car", "cars"], "English": ["car", "cars"]}}, "named by its language, as en or ga"),
        ({"person": "no"}, "Expected `bool`, got `str`"),
        ({"capacity_of": "car_park"}, "Expected `array`, got `str`"),
        ({"colour": {"light": "brown", "dark": "#f0b35a"}}, "six hexadecimal digits in small letters, not 'brown'"),
        ({"colour": {"light": "#9a5b00", "dark": "#f0b35a80"}}, "not '#f0b35a80'"),
        ({"colour": {"light": "#9a5b00"}}, "missing required field `dark`"),
        ({"color": "#9a5b00"}, "unknown field `color`"),
    ],
)
def test_an_entry_that_cannot_work_is_named_with_its_file(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadSettingsError) as raised:
        table(tmp_path, CAR | change)
    assert str(raised.value).startswith(f"KINDS_FILE: {tmp_path / 'kinds.json'}: ")
    assert sentence in str(raised.value)


@pytest.mark.parametrize("member", ["id", "topic", "label", "person", "capacity_of", "colour"])
def test_an_entry_says_everything(tmp_path: Path, member: str) -> None:
    with pytest.raises(BadSettingsError, match=f"missing required field `{member}`"):
        table(tmp_path, {name: value for name, value in CAR.items() if name != member})


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ([], "there are 1 to 16 kinds, not 0"),
        (
            [CAR | {"id": f"k{number}", "topic": f"t{number}"} for number in range(17)],
            "there are 1 to 16 kinds, not 17",
        ),
        ([CAR, BICYCLE | {"id": "car"}], "the id 'car' is there twice"),
        ([CAR, BICYCLE | {"topic": "car-iotp"}], "the topic 'car-iotp' is there twice"),
    ],
)
def test_a_table_that_cannot_work_is_named_with_its_file(
    tmp_path: Path, entries: list[dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(BadSettingsError, match=f"KINDS_FILE: .*{sentence}"):
        table(tmp_path, *entries)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kinds": {}}', '{"kinds": [], "more": 1}', "\xff"])
def test_a_file_that_is_no_table_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kinds.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(BadSettingsError, match=r"KINDS_FILE: .*kinds\.json: "):
        load_kinds(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettingsError, match=r"KINDS_FILE: .*none\.json: .*No such file"):
        load_kinds(tmp_path / "none.json")


names = st.text("abz09_-./#+$v1C\n", max_size=4) | st.sampled_from(["car", "total", "service", "v1", "anonymous"])


@given(entries=st.lists(st.builds(lambda kind, topic: CAR | {"id": kind, "topic": topic}, names, names), max_size=4))
def test_of_whatever_is_taken_ids_topics_and_roles_never_collide(
    tmp_path_factory: pytest.TempPathFactory, entries: list[dict[str, Any]]
) -> None:
    try:
        kinds = table(tmp_path_factory.mktemp("kinds"), *entries)
    except BadSettingsError:
        return
    assert len(set(kinds.ids)) == len(set(kinds.topics)) == len(kinds) == len(entries)
    assert len({role.name for role in kinds.roles}) == len(kinds) + 4
    for kind in kinds:
        assert kinds.ingest_kind(kind.topic) == kinds.ingest_kind(f"{kind.topic}/below") == kind.id
        assert kinds.role(kind.id).kind == kinds.parse(kind.id) == kind.id
        assert not set(kind.id) & set(":\n#+/ ")
        assert not set(kind.topic) & set("\n#+/ $")
        assert kinds.ingest_kind(f"v1/zones/{kind.topic}") is None


def test_no_id_can_be_a_member_that_stands_beside_the_counts_in_an_answer() -> None:
    document = json.loads((Path(__file__).parents[1] / "kinds" / "golden" / "openapi.json").read_text())
    members = {*document["components"]["schemas"]["Occupancy"]["properties"]}
    assert members - TAKEN_IDS == {"car", "mobile"}
