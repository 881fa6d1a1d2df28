import random

import pytest

from tests.needles import Needles


@pytest.mark.parametrize(
    ("content", "is_in"),
    [
        (b"", False),
        (b"abcdefghij", False),
        (b"..1234567890..abcdefghij", False),
        (b"..12345678901", True),
        (b"abcdefghijk.", True),
    ],
)
def test_a_text_is_found_where_all_of_it_is_there(content: bytes, is_in: bool) -> None:  # noqa: FBT001 - a parameter
    assert Needles([b"12345678901", b"abcdefghijk", b"abcdefghxyz"]).any_in(content) is is_in


def test_any_texts_are_found_as_one_by_one() -> None:
    random_ = random.Random(7)  # noqa: S311 - no secret

    def text(most: int) -> bytes:
        return bytes(random_.choice(b"ab") for _ in range(random_.randint(1, most)))

    found = set()
    for _ in range(500):
        texts, content = [text(9), text(9)], text(40)
        expected = any(each in content for each in texts)
        assert Needles(texts).any_in(content) is expected
        found.add(expected)
    assert found == {True, False}
