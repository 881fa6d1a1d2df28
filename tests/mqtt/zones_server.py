"""The answer of `GET /v1/zones`, without an API: the campus with its ETag, or what a test wants instead."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from geofence import load_campus


class ZonesServer(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.body = msgspec.json.encode(load_campus(None).as_feature_collection())
        self.status = 200
        self.etags: list[str | None] = []
        """What has been asked with, one by one."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/zones"


class _Answer(BaseHTTPRequestHandler):
    server: ZonesServer

    def do_GET(self) -> None:
        etag = self.headers.get("If-None-Match")
        self.server.etags.append(etag)
        status = 304 if self.server.status == 200 and etag == '"campus-1"' else self.server.status
        body = self.server.body if status == 200 else b""
        self.send_response(status)
        self.send_header("ETag", '"campus-1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@contextmanager
def zones_server() -> Iterator[ZonesServer]:
    with ZonesServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
