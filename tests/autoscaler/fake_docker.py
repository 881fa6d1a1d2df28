"""A Docker Engine that only pretends: as forgiving as the real one, and it remembers what it was told."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

FRONT, BACK, FOREIGN = "f" * 64, "b" * 64, "e" * 64


class FakeDocker:
    """Containers by id, in the words of "inspect"."""

    def __init__(self) -> None:
        self.containers: dict[str, dict[str, Any]] = {}
        self.changes: list[tuple[str, str, Any]] = []
        """Everything that was asked for but questions: method, path and query, body."""
        self.versions = ("1.12", "1.41")
        self.padding = ""
        """Added to each description of a container."""
        self.fail_start = False

    def add(self, name: str, service: str, number: int, *, project: str = "campus", **labels: str) -> dict[str, Any]:
        made = len(self.containers) + 1
        container_id = f"{made:012x}" + "a" * 52
        front = {"NetworkID": FRONT, "IPAddress": f"10.1.0.{made}", "Aliases": [name, service, container_id[:12]]}
        back = {"NetworkID": BACK, "IPAddress": f"10.2.0.{made}", "Aliases": [name, service, container_id[:12]]}
        self.containers[container_id] = {
            "Id": container_id,
            "Name": f"/{name}",
            "Created": f"2026-03-01T12:00:{made:02d}.123456789Z",
            "Image": "sha256:" + "1" * 64,
            "State": {"Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}},
            "Config": {
                "Hostname": container_id[:12],
                "User": "10001:10001",
                "Env": ["REDIS_URL=redis://redis"],
                "Cmd": None,
                "Image": "campus/broker:dev",
                "Entrypoint": ["python", "-m", service],
                "Labels": {
                    "com.docker.compose.project": project,
                    "com.docker.compose.service": service,
                    "com.docker.compose.container-number": str(number),
                    "com.docker.compose.oneoff": "False",
                    "com.docker.compose.config-hash": "c0ffee",
                    **labels,
                },
            },
            "HostConfig": {
                "NetworkMode": f"{project}_back",
                "Binds": ["/srv/secrets/broker:/run/secrets:ro"],
                "Memory": 268_435_456,
                "CapDrop": ["ALL"],
                "ReadonlyRootfs": True,
                "Privileged": False,
                "PortBindings": {},
                "RestartPolicy": {"Name": "unless-stopped"},
            },
            "NetworkSettings": {"Networks": {f"{project}_front": front, f"{project}_back": back}},
        }
        return self.containers[container_id]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        path = request.raw_path.partition("?")[0]
        parts = unquote(path).strip("/").split("/")
        if parts[0].startswith("v1."):
            parts = parts[1:]
        if request.method == "GET":
            return self._answer(parts, request)
        told = json.loads(body) if body else {}
        self.changes.append((request.method, request.raw_path, told))
        return self._change(parts, request, told)

    def _answer(self, parts: list[str], request: web.BaseRequest) -> web.Response:
        match parts:
            case ["_ping"]:
                return web.Response(text="OK")
            case ["version"]:
                return web.json_response({"MinAPIVersion": self.versions[0], "ApiVersion": self.versions[1]})
            case ["containers", "json"]:
                return web.json_response([self._listed(each) for each in self._chosen(request)])
            case ["containers", name, "json"]:
                return web.json_response(self._find(name) | {"Padding": self.padding})
        raise web.HTTPNotFound

    def _change(self, parts: list[str], request: web.BaseRequest, told: dict[str, Any]) -> web.Response:
        match parts:
            case ["containers", "create"]:
                return web.json_response({"Id": self._create(told, request.query["name"]), "Warnings": []}, status=201)
            case ["containers", name]:
                del self.containers[self._find(name)["Id"]]
                return web.Response(status=204)
            case ["containers", name, action]:
                return self._act(self._find(name), action)
            case ["networks", network, "connect"]:
                names = {FRONT: "campus_front", BACK: "campus_back"}
                endpoint = {"NetworkID": network, "IPAddress": "", **told["EndpointConfig"]}
                found = self._find(told["Container"])
                found["NetworkSettings"]["Networks"][names.get(network, "foreign")] = endpoint
                return web.Response(status=200)
        raise web.HTTPNotFound

    def _act(self, found: dict[str, Any], action: str) -> web.Response:
        if action == "start":
            if self.fail_start:
                raise web.HTTPInternalServerError(text=json.dumps({"message": "no space left on device"}))
            found["State"] = {"Status": "running", "Health": {"Status": "starting"}}
        elif action == "stop":
            found["State"] = {"Status": "exited", "ExitCode": 0}
        elif action != "kill":
            raise web.HTTPNotFound
        return web.Response(status=204)

    def _find(self, name: str) -> dict[str, Any]:
        """As the Engine does: by the whole id, the name, or the beginning of the id."""
        for found in self.containers.values():
            if name in (found["Id"], found["Name"][1:]) or found["Id"].startswith(name):
                return found
        raise web.HTTPNotFound(text=json.dumps({"message": f"No such container: {name}"}))

    def _chosen(self, request: web.BaseRequest) -> list[dict[str, Any]]:
        filters = json.loads(request.query.get("filters", "{}"))
        return [
            each
            for each in self.containers.values()
            if all(_has_label(each["Config"]["Labels"], label) for label in filters.get("label", []))
            and (request.query.get("all") == "1" or each["State"]["Status"] == "running")
            and each["State"].get("Health", {"Status": "none"})["Status"]
            in filters.get("health", ("healthy", "unhealthy", "starting", "none"))
        ]

    @staticmethod
    def _listed(found: dict[str, Any]) -> dict[str, Any]:
        return {
            "Id": found["Id"],
            "Names": [found["Name"]],
            "Labels": found["Config"]["Labels"],
            "Created": int(datetime.fromisoformat(found["Created"]).timestamp()),
            "NetworkSettings": {"Networks": found["NetworkSettings"]["Networks"]},
        }

    def _create(self, body: dict[str, Any], name: str) -> str:
        labels = body["Labels"]
        made = self.add(name, labels["com.docker.compose.service"], int(labels["com.docker.compose.container-number"]))
        made["State"] = {"Status": "created"}
        made["Config"] = deepcopy({key: value for key, value in body.items() if key != "HostConfig"})
        made["HostConfig"] = deepcopy(body["HostConfig"])
        made["Image"] = body["Image"]
        networks = body["NetworkingConfig"]["EndpointsConfig"]
        made["NetworkSettings"]["Networks"] = {
            network: {"NetworkID": BACK, "IPAddress": "", **endpoint} for network, endpoint in networks.items()
        }
        return str(made["Id"])


def _has_label(labels: dict[str, str], wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)


@asynccontextmanager
async def serve_docker(socket: Path) -> AsyncIterator[FakeDocker]:
    fake = FakeDocker()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await fake.handle(request)
        except web.HTTPException as error:
            return web.Response(status=error.status, text=error.text, content_type="application/json")

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    try:
        await web.UnixSite(runner, str(socket)).start()
        yield fake
    finally:
        await runner.cleanup()
