"""What the API says of kinds is made of their labels."""

import pytest

from api.http import kind_words
from api.http.kinds import kind_schema
from api.occupancy import texts
from api.occupancy.types import occupancy_types
from core.kinds import DEFAULT_KINDS, Kinds
from tests.kinds.tables import BUS, ONE_KIND, SIX_KINDS, THREE_KINDS, WATCH

ONLY_PEOPLE = Kinds([WATCH])
TWO_OF_PEOPLE = Kinds([*THREE_KINDS, WATCH, BUS])


@pytest.mark.parametrize(
    ("kinds", "sentence"),
    [
        (DEFAULT_KINDS, "car, or mobile for phones"),
        (THREE_KINDS, "car, mobile for phones, or bicycle"),
        (ONE_KIND, "bicycle"),
        (SIX_KINDS, "car, mobile for phones, bicycle, watch, e_scooter for electric scooters, or bus"),
    ],
)
def test_requests_are_told_what_to_name(kinds: Kinds, sentence: str) -> None:
    assert kind_words.ids(kinds) == sentence


@pytest.mark.parametrize(
    ("kinds", "sentence"),
    [
        (DEFAULT_KINDS, "a car or a phone (mobile)"),
        (ONE_KIND, "a bicycle"),
        (
            SIX_KINDS,
            "a car, a phone (mobile), a bicycle, a watch, an electric scooter (e_scooter) or a bus",
        ),
    ],
)
def test_one_of_any_kind_is_named_with_its_article(kinds: Kinds, sentence: str) -> None:
    assert kind_words.one_of(kinds) == sentence


@pytest.mark.parametrize(
    ("kinds", "total", "capacity", "suppressed", "observed_at"),
    [
        (
            THREE_KINDS,
            "Cars, phones and bicycles together; null where the phones are.",
            "How many the zone can hold, cars in a car park, bicycles in a bicycle park; null where none is set.",
            "Whether there are too few phones to say how many, so that nobody can be told apart by them.",
            "Of cars and bicycles alone where phones are suppressed.",
        ),
        (
            TWO_OF_PEOPLE,
            "Cars, phones, bicycles, watches and buses together; null where the phones or the watches are.",
            "How many the zone can hold, cars in a car park, bicycles in a bicycle park; null where none is set.",
            "Whether there are too few phones or watches to say how many, so that nobody can be told apart by them.",
            "Without the kinds that are suppressed.",
        ),
        (
            ONE_KIND,
            "All bicycles.",
            "How many the zone can hold, bicycles in a bicycle park; null where none is set.",
            "Always false: nothing that is counted stands for a person.",
            "",
        ),
        (
            ONLY_PEOPLE,
            "All watches; null where the watches are.",
            "How many the zone can hold; null where none is set.",
            "Whether there are too few watches to say how many, so that nobody can be told apart by them.",
            "Without the kinds that are suppressed.",
        ),
    ],
    ids=lambda value: str(len(value)) if isinstance(value, Kinds) else None,
)
def test_members_of_a_body_are_described_for_any_table(
    kinds: Kinds, total: str, capacity: str, suppressed: str, observed_at: str
) -> None:
    assert texts.total(kinds) == total
    assert texts.capacity(kinds) == capacity
    assert texts.suppressed(kinds) == suppressed
    assert texts.observed_at(kinds).endswith(f"null where nobody is. {observed_at}".strip())


def test_the_percentage_says_what_takes_up_the_capacity() -> None:
    begin = "How full it is, per cent of the capacity: "
    assert texts.percentage(THREE_KINDS).startswith(
        f"{begin}in a car park the cars, in a bicycle park the bicycles, elsewhere the total. It can exceed 100;"
    )
    assert texts.percentage(Kinds([BUS])).startswith(f"{begin}the total. It can exceed 100;")


def test_each_kind_has_a_member_in_the_order_of_the_table() -> None:
    names = occupancy_types(SIX_KINDS).one.__match_args__

    assert names[:10] == (
        *("zone", "name", "category", "car", "mobile", "bicycle", "watch", "e_scooter", "bus"),
        "total",
    )
    assert occupancy_types(THREE_KINDS).newest_input.__match_args__ == ("car", "mobile", "bicycle")


def test_the_schema_of_a_kind_lists_the_table() -> None:
    assert kind_schema(THREE_KINDS) == {
        "type": "string",
        "enum": ["car", "mobile", "bicycle"],
        "title": "Kind",
        "description": "What is counted: cars, phones, which stand for the students who carry them, and bicycles.",
    }
