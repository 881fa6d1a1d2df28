"""TILE_URL: where the street tiles under the live map may come from."""

import re

# Whoever reads the policy or the page splits them at spaces, quotes, commas and semicolons: none can be in an address.
_TEMPLATE = re.compile(r"(https?://(\{s\}\.)?[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?)?/[^\s\"'<>,;\\]*", re.IGNORECASE)
_PLACES = ("{z}", "{x}", "{y}")


def tile_template(text: str) -> str:
    """A template such as https://tile.example/{z}/{x}/{y}.png, or /tiles/{z}/{x}/{y}.png of the API's own origin.

    {s} may be the first label of the host, for the subdomains a, b and c. The empty text means no tiles. Raises
    ValueError for anything else.
    """
    if text and (not _TEMPLATE.fullmatch(text) or text.startswith("//")):
        raise ValueError("write http(s)://HOST/... or /..., without spaces, quotes, commas and semicolons")
    missing = [place for place in _PLACES if text and place not in text]
    if missing:
        raise ValueError(f"{' and '.join(missing)} must be in it, such as https://tile.example/{{z}}/{{x}}/{{y}}.png")
    return text
