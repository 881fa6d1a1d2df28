"""A stand-in for InfluxDB's HTTP API, which keeps what it is asked and answers what a test has prepared."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

TOKEN = "very-secret"  # noqa: S105 - of a server that lives for one test
ORG = "campus"
ORG_ID = "00c0ffee00c0ffee"


@dataclass
class Request:
    """What came in."""

    method: str
    path: str
    query: dict[str, str]
    body: str
    token: str | None


@dataclass
class FakeInflux:
    """Answers in the order in which they were prepared, then with what a healthy server says."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    prepared: list[web.Response] = field(default_factory=list)
    buckets: list[dict[str, Any]] = field(default_factory=list)
    points: dict[tuple[str, str, int], int] = field(default_factory=dict)
    """The devices of what was written, by bucket, series and time."""
    trouble: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    """Answers in the place of a healthy server, as long as it is set."""

    def prepare(self, status: int, message: str = "", **headers: str) -> None:
        """The next request is answered with an error as InfluxDB writes them."""
        self.prepared.append(
            web.json_response({"code": "any", "message": message}, status=status, headers=headers or None)
        )

    def prepare_rows(self, text: str) -> None:
        """The next request is answered with annotated CSV."""
        lines = "\r\n".join(line.strip() for line in text.strip().splitlines())
        self.prepared.append(web.Response(text=f"{lines}\r\n\r\n", content_type="text/csv"))

    def paths(self) -> list[str]:
        """Method and path of each request."""
        return [f"{request.method} {request.path}" for request in self.requests]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        token = request.headers.get("Authorization")
        seen = Request(request.method, request.path, dict(request.query), body, token)
        self.requests.append(seen)
        if self.trouble:
            return await self.trouble(request)
        return self.prepared.pop(0) if self.prepared else self._healthy(seen)

    def _healthy(self, seen: Request) -> web.Response:
        answer = web.json_response({"code": "not found", "message": "path not found"}, status=404)
        match seen.method, seen.path:
            case "GET", "/api/v2/buckets":
                found = [bucket for bucket in self.buckets if bucket["name"] == seen.query["name"]]
                answer = web.json_response({"buckets": found})
            case "GET", "/api/v2/orgs":
                orgs = [{"id": ORG_ID, "name": ORG}] if seen.query["org"] == ORG else []
                answer = web.json_response({"orgs": orgs})
            case "POST", "/api/v2/buckets":
                self.buckets.append({"id": str(len(self.buckets)), **json.loads(seen.body)})
                answer = web.json_response(self.buckets[-1], status=201)
            case "PATCH", path if path.startswith("/api/v2/buckets/"):
                bucket = next(one for one in self.buckets if one["id"] == path.rpartition("/")[2])
                bucket |= json.loads(seen.body)
                answer = web.json_response(bucket)
            case "POST", "/api/v2/write":
                for line in seen.body.splitlines():
                    series, value, at = line.split(" ")
                    self.points[seen.query["bucket"], series, int(at)] = int(value[len("devices=") : -1])
                answer = web.Response(status=204)
            case "POST", "/api/v2/query":
                answer = web.Response(text="\r\n", content_type="text/csv")
        return answer


@pytest.fixture
async def influx() -> AsyncIterator[FakeInflux]:
    """The stand-in, listening on a free port of this machine."""
    fake = FakeInflux()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("/"))
        yield fake
