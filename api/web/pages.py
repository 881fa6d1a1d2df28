"""The pages: the live map at /, a device at /device, /operations, /privacy, and the API explained at /docs.

What they load is all from here.
"""

import gzip
import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.http.answers import client_has, not_modified
from api.http.kind_words import capital
from api.web.notice import NoticeOptions, notice_page
from api.web.tiles import tile_origin
from core.kinds import Kind, Kinds

STATIC = Path(__file__).parent / "static"
CACHE_CONTROL = "public, no-cache"
"""Keep it, but ask each time whether it is still right: so an update shows at once."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served, by how its name ends; of the other files in the folder nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOptions:
    """What the live map is told by who runs it."""

    tile_url: str = ""
    """As `api.web.tiles.tile_template` checked it; empty for a map without street tiles."""
    tile_attribution: str = ""
    """Who made the tiles, as plain text."""
    min_count: int = 0
    """Counts of what stands for people are kept back below it (PRIVACY_MIN_COUNT); 0 where none is."""
    released: Mapping[str, int] | None = None
    """How far counts are from the true ones, as `api.privacy.steps_of` has it; None where they are true."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is served."""

    content: bytes
    compressed: bytes
    media_type: str
    etag: str
    """Without its quotes."""

    @classmethod
    def of(cls, content: bytes, suffix: str) -> "File":
        """A file with this content, whose name ends in `suffix`, one of `TYPES`."""
        return cls(
            content=content,
            # Once, at the start: no answer waits for it. The time is left out, so that all processes say the same.
            compressed=gzip.compress(content, mtime=0),
            media_type=TYPES[suffix],
            etag=hashlib.sha256(content).hexdigest()[:16],
        )

    def answer(self, request: Request, security: Mapping[str, str]) -> Response:
        """The file, compressed where the client reads that; or 304 where the client has it."""
        packed = _reads_gzip(request)
        etag = f'"{self.etag}-gzip"' if packed else f'"{self.etag}"'
        headers = {"Vary": "Accept-Encoding"}
        if client_has(request, etag):
            answer = not_modified(etag, CACHE_CONTROL)
            answer.headers.update(headers)
            return answer
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Response(
            self.compressed if packed else self.content,
            headers={
                **security,
                **headers,
                "Content-Type": self.media_type,
                "ETag": etag,
                "Cache-Control": CACHE_CONTROL,
            },
        )


def pages(kinds: Kinds, options: MapOptions | None = None, notice: NoticeOptions | None = None) -> APIRouter:
    """The routes of the pages, whose map shows these kinds; the files are read now, and kept."""
    options = options or MapOptions()
    privacy_notice = File.of(notice_page(notice or NoticeOptions()).encode(), ".html")
    security = _security(options)
    files = {path.relative_to(STATIC).as_posix(): _read(path) for path in STATIC.rglob("*") if path.suffix in TYPES}
    files["index.html"] = _live_map(kinds, options)
    files["device.html"] = _device(kinds)
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def live_map(request: Request) -> Response:
        return files["index.html"].answer(request, security)

    @router.get("/device")
    async def device(request: Request) -> Response:
        return files["device.html"].answer(request, security)

    @router.get("/operations")
    async def operations(request: Request) -> Response:
        return files["operations.html"].answer(request, security)

    @router.get("/privacy")
    async def privacy(request: Request) -> Response:
        return privacy_notice.answer(request, security)

    @router.get("/docs")
    async def documentation(request: Request) -> Response:
        return files["docs.html"].answer(request, security)

    @router.get("/static/{name:path}")
    async def static(request: Request, name: str) -> Response:
        # Looked up, never joined to a path: no name can lead out of the folder.
        file = files.get(name)
        if file is None:
            raise HTTPException(404)
        return file.answer(request, security)

    return router


def _reads_gzip(request: Request) -> bool:
    # A weight other than 0 makes no difference: there is one compressed form, and it is the shorter one.
    codings = [coding.split(";") for coding in request.headers.get("accept-encoding", "").lower().split(",")]
    return any(
        name.strip() in {"gzip", "*"} and not any(_is_zero(weight) for weight in weights) for name, *weights in codings
    )


def _is_zero(weight: str) -> bool:
    # RFC 9110 section 12.4.2: q=0 and q=0.000 say that it is not acceptable.
    name, _, value = weight.partition("=")
    return name.strip() == "q" and value.strip(" 0.") == ""


def _read(path: Path) -> File:
    return File.of(path.read_bytes(), path.suffix)


def _live_map(kinds: Kinds, options: MapOptions) -> File:
    """The page, with kinds and options as its meta elements: known before its scripts run, without another request."""
    told = {
        "tile-url": options.tile_url,
        "tile-attribution": options.tile_attribution,
        "min-count": str(options.min_count),
        "kinds": msgspec.json.encode([_told(kind) for kind in kinds]).decode(),
    }
    if options.released is not None:
        told["released"] = msgspec.json.encode(options.released).decode()
    named = html.escape(capital(kinds.many))
    return File.of(_with_options("index.html", told).replace("<!-- kinds -->", named).encode(), ".html")


def _device(kinds: Kinds) -> File:
    """The page of a device, which is told where each kind publishes, and which are people."""
    told = [{**_told(kind), "topic": kind.topic, "person": kind.person} for kind in kinds]
    return File.of(_with_options("device.html", {"kinds": msgspec.json.encode(told).decode()}).encode(), ".html")


def _with_options(page: str, told: Mapping[str, str]) -> str:
    metas = "\n  ".join(f'<meta name="{name}" content="{html.escape(value)}">' for name, value in told.items())
    return (STATIC / page).read_text(encoding="utf-8").replace("<!-- options -->", metas)


def _told(kind: Kind) -> dict[str, str | list[str]]:
    """What `kinds.js` is told of a kind; the page is in English."""
    return {
        "id": kind.id,
        "one": kind.one,
        "many": kind.many,
        "light": kind.colour.light,
        "dark": kind.colour.dark,
        "capacity_of": sorted(kind.capacity_of),
    }


def _security(options: MapOptions) -> dict[str, str]:
    origin = tile_origin(options.tile_url)
    policy = {
        "default-src": "'self'",
        "img-src": " ".join(["'self'", "data:", *([origin] if origin else [])]),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "object-src": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
