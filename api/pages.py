"""The live map at / and the page about the API at /docs, with what they load: files of ours, nothing from afar."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.answers import client_has, not_modified

STATIC = Path(__file__).parent / "static"
CACHE_CONTROL = "public, no-cache"
"""Keep it, but ask each time whether it is still right: so an update shows at once."""
SECURITY = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is served."""

    content: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> "File":
        """Read a file, whose name must end like one of the known types."""
        content = path.read_bytes()
        return cls(
            content=content, media_type=_TYPES[path.suffix], etag=f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        )

    def answer(self, request: Request) -> Response:
        """The file, or 304 where the client has it."""
        if client_has(request, self.etag):
            return not_modified(self.etag, CACHE_CONTROL)
        return Response(
            self.content,
            headers={
                **SECURITY,
                "Content-Type": self.media_type,
                "ETag": self.etag,
                "Cache-Control": CACHE_CONTROL,
            },
        )


def pages() -> APIRouter:
    """The routes of the pages; the files are read now, and kept."""
    files = {path.name: File.read(path) for path in STATIC.iterdir() if path.suffix in _TYPES}
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def live_map(request: Request) -> Response:
        return files["index.html"].answer(request)

    @router.get("/docs")
    async def documentation(request: Request) -> Response:
        return files["docs.html"].answer(request)

    @router.get("/static/{name}")
    async def static(request: Request, name: str) -> Response:
        # Looked up, never joined to a path: no name can lead out of the folder.
        file = files.get(name)
        if file is None:
            raise HTTPException(404)
        return file.answer(request)

    return router
