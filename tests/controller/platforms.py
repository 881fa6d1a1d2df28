"""Platforms on which applications run, or seem to: a Docker that pretends, a strict double of Kubernetes, files."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from autoscaler.gate import serve_gate
from autoscaler.settings import GateSettings
from controller.docker_registry import DockerRegistry
from controller.file_registry import FileRegistry
from controller.kubernetes_registry import KubernetesRegistry
from controller.registry import Registry
from core.errors import UnavailableError
from runtime.service import Stop
from state.apps import Instance
from tests.autoscaler.fake_docker import serve_docker
from tests.conftest import eventually
from tests.ports import free_port

APP = "update-schuman"
TOKEN = "token-of-this-pod"  # noqa: S105 - of a double
Add = Callable[[Instance], Awaitable[None]]


class Platform:
    """A registry, and how instances come to where it looks."""

    def __init__(self, registry: Registry, add: Add) -> None:
        self.registry = registry
        self.add = add


@asynccontextmanager
async def docker() -> AsyncIterator[Platform]:
    # Not tmp_path: a socket's path may have 107 bytes at the most.
    folder = Path(tempfile.mkdtemp(prefix="campus-docker-"))
    stop, port = Stop(), free_port()
    async with serve_docker(folder / "docker.sock") as fake, aiohttp.ClientSession() as session:
        gate = asyncio.create_task(
            serve_gate(GateSettings(gate_port=port, engine_socket=folder / "docker.sock", gate_for="controller"), stop)
        )
        registry = DockerRegistry(session=session, url=f"http://127.0.0.1:{port}")

        async def answers() -> bool:
            try:
                return await registry.instances() == []
            except UnavailableError:
                return False

        async def add(instance: Instance) -> None:
            labels = {
                "campus.app": instance.app,
                "campus.version": instance.version,
                "campus.port": str(instance.port),
            }
            made = fake.add(instance.name, instance.name, 1, **labels)
            made["Created"] = "2026-03-01T12:00:00Z"
            made["State"]["Health"]["Status"] = "healthy" if instance.healthy else "unhealthy"
            made["NetworkSettings"]["Networks"]["campus_front"]["IPAddress"] = instance.address

        try:
            await eventually(answers)
            yield Platform(registry, add)
        finally:
            stop.set()
            await gate
            shutil.rmtree(folder)


class Kubernetes:
    """Knows one request alone: the EndpointSlices of one namespace, for who has the token."""

    def __init__(self) -> None:
        self.slices: list[dict[str, Any]] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"kind": "Status", "code": 401}, status=401)
        if (
            request.method != "GET"
            or request.path != "/apis/discovery.k8s.io/v1/namespaces/campus/endpointslices"
            or dict(request.query) != {"labelSelector": "campus.app,campus.version", "limit": "200"}
        ):
            return web.json_response({"kind": "Status", "code": 403}, status=403)
        return web.json_response(
            {"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "metadata": {}, "items": self.slices}
        )

    def add(self, instance: Instance, **conditions: bool) -> None:
        """A slice as Kubernetes 1.32 answers it."""
        self.slices.append(
            {
                "metadata": {
                    "name": f"{instance.name}-x7k2p",
                    "namespace": "campus",
                    "creationTimestamp": "2026-03-01T12:00:00Z",
                    "labels": {
                        "campus.app": instance.app,
                        "campus.version": instance.version,
                        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                        "kubernetes.io/service-name": instance.name,
                    },
                },
                "addressType": "IPv4",
                "endpoints": [
                    {
                        "addresses": [instance.address],
                        "conditions": {
                            "ready": instance.healthy,
                            "serving": instance.healthy,
                            "terminating": False,
                            **conditions,
                        },
                        "targetRef": {"kind": "Pod", "namespace": "campus", "name": instance.name},
                        "nodeName": "node-1",
                    }
                ],
                "ports": [{"name": "http", "port": instance.port, "protocol": "TCP"}],
            }
        )


@asynccontextmanager
async def kubernetes() -> AsyncIterator[Platform]:
    async with serving_kubernetes() as (double, registry):

        async def add(instance: Instance) -> None:
            double.add(instance)

        yield Platform(registry, add)


@asynccontextmanager
async def serving_kubernetes(*, token: str = TOKEN) -> AsyncIterator[tuple[Kubernetes, KubernetesRegistry]]:
    double, port = Kubernetes(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        account = Path(folder)
        (account / "token").write_text(f"{token}\n")
        (account / "namespace").write_text("campus")
        async with _served(double.handle, "127.0.0.1", port), aiohttp.ClientSession() as session:
            yield (
                double,
                KubernetesRegistry(session=session, url=f"http://127.0.0.1:{port}", namespace="", account=account),
            )


@asynccontextmanager
async def files() -> AsyncIterator[Platform]:
    stop = asyncio.Event()
    serving: list[asyncio.Task[None]] = []

    async def serve(instance: Instance, listening: asyncio.Event) -> None:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=200 if request.path == "/healthz" and instance.healthy else 503)

        async with _served(answer, instance.address, instance.port):
            listening.set()
            await stop.wait()

    with tempfile.TemporaryDirectory() as folder:
        async with aiohttp.ClientSession() as session:

            async def add(instance: Instance) -> None:
                listening = asyncio.Event()
                serving.append(asyncio.create_task(serve(instance, listening)))
                await listening.wait()
                told = msgspec.structs.asdict(instance)
                del told["healthy"]
                (Path(folder) / f"{instance.name}.json").write_text(json.dumps(told))

            yield Platform(FileRegistry(session=session, folder=Path(folder)), add)
            stop.set()
            await asyncio.gather(*serving)


@asynccontextmanager
async def _served(
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], host: str, port: int
) -> AsyncIterator[None]:
    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


PLATFORMS = {"docker": docker, "kubernetes": kubernetes, "file": files}
