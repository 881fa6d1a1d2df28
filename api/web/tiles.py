"""Street tiles under the live map. None are loaded unless TILE_URL is set (`api.tile_template`)."""

from urllib.parse import urlsplit


def tile_origin(template: str) -> str | None:
    """The origin of a checked template as a Content-Security-Policy names it; None where it is the API's own."""
    parts = urlsplit(template)
    return f"{parts.scheme}://{parts.netloc.replace('{s}', '*')}" if parts.netloc else None
