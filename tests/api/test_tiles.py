import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.tile_template import tile_template
from api.web.tiles import tile_origin


@pytest.mark.parametrize(
    ("template", "origin"),
    [
        ("", None),
        ("/tiles/{z}/{x}/{y}.png", None),
        ("https://tile.openstreetmap.org/{z}/{x}/{y}.png", "https://tile.openstreetmap.org"),
        ("https://{s}.tile.example/{z}/{y}/{x}?key=a%20b", "https://*.tile.example"),
        ("http://127.0.0.1:8080/{z}/{x}/{y}", "http://127.0.0.1:8080"),
    ],
)
def test_an_address_of_tiles_has_an_origin_or_is_our_own(template: str, origin: str | None) -> None:
    assert tile_template(template) == template
    assert tile_origin(template) == origin


@pytest.mark.parametrize(
    "text",
    [
        "tile.example/{z}/{x}/{y}.png",
        "//tile.example/{z}/{x}/{y}.png",
        "ftp://tile.example/{z}/{x}/{y}.png",
        "javascript:/{z}/{x}/{y}",
        "https://user:word@tile.example/{z}/{x}/{y}",
        "https://*/{z}/{x}/{y}",
        "https://tile.example/{z}/{x}/{y}; script-src *",
        "https://tile.example;/{z}/{x}/{y}",
        'https://tile.example/{z}/{x}/{y}"',
        "https://tile.example/{z}/{x}.png",
        "https://tile.example/",
        " ",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST|must be in it"):
        tile_template(text)


@given(st.text(alphabet="htps:/.{zxys}; ',\"\n*a1", max_size=60).map(lambda text: text + "/{z}/{x}/{y}"))
def test_what_is_accepted_cannot_add_to_the_policy(text: str) -> None:
    try:
        origin = tile_origin(tile_template(text))
    except ValueError:
        return
    assert origin is None or not set(origin) & set(" ;,'\"\n")
