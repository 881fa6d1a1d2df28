"""Whatever stands in the place of any member of any form, reading comes to an end with a reason."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from payloads import Fix, Ignored, Refusal, read
from tests.payloads.messages import POINT, encoded, feature, sender
from tests.payloads.test_formats import FIXES

NASTY = {
    "a number that is too large for a float": "1e999",
    "the largest float": "1.7976931348623157e308",
    "the least float": "-5e-324",
    "minus zero": "-0.0",
    "401 digits": "9" * 401,
    "4,300 digits": "9" * 4300,
    "4,301 digits": "9" * 4301,
    "10,000 digits": "-" + "9" * 10_000,
    "10,000 digits of a fraction": "0." + "9" * 10_000,
    "NaN": "NaN",
    "minus Infinity": "-Infinity",
    "true": "true",
    "null": "null",
    "nothing": "",
    "an empty text": '""',
    "half a surrogate": '"\\ud800"',
    "a zero in a text": '"\\u0000"',
    "a text of 20,000 letters": json.dumps("x" * 20_000),
    "a text of 20 digits": '"99999999999999999999"',
    "a text of a number that is too large": '"1e999"',
    "a text of nan": '"nan"',
    "digits of another script": '"\\u0661\\u0662"',
    "an object": "{}",
    "a list": "[]",
    "a list of lists": "[[[1], 2], null]",
    "a deep list": "[" * 400 + "]" * 400,
    "a very deep list": "[" * 5000 + "]" * 5000,
    "an object in an object": '{"a": {"type": "Point", "coordinates": [1]}}',
}
MARK = "\N{WHITE FLAG}"
"""What is replaced by the text of something nasty."""


def spoiled(document: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    """The document as often as it has values, a mark in the place of one; and with a member more in each object."""
    yield MARK
    if isinstance(document, dict):
        yield document | {"one more": MARK}
        for name, value in document.items():
            yield from (document | {name: other} for other in spoiled(value))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from ([*document[:index], other, *document[index + 1 :]] for other in spoiled(value))


DOCUMENTS = {name: document for name, (document, _) in FIXES.items()} | {
    "a Feature": feature(timestamp="2026-03-01T12:00:00Z", accuracy=5, speed=1, heading=9),
    "a Feature of GPSLogger": feature(time_long="1772366400000", provider="gps", time="2026-03-01T12:00:00Z"),
    "a Feature with an id": {"type": "Feature", "id": 7, "geometry": POINT, "properties": {}},
    "a Point": POINT,
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_nothing_in_the_place_of_anything_does_harm(name: str) -> None:
    for document in spoiled(DOCUMENTS[name]):
        text = json.dumps(document)
        for nasty in NASTY.values():
            payload = text.replace(json.dumps(MARK), nasty).encode()
            for outcome in read(payload if len(nasty) % 2 else base64.b64encode(payload), sender()):
                assert isinstance(outcome, Fix | Ignored | Refusal)
                if isinstance(outcome, Refusal):
                    assert 0 < len(outcome.error.detail) < 300


def test_what_is_not_asked_for_may_be_anything_that_is_json() -> None:
    payload = base64.b64decode(encoded(feature(unknown=0))).replace(b'"unknown": 0', b'"unknown": 1e999')
    assert isinstance(read(payload, sender())[0], Fix)
