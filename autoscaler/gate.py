"""The gate to the Docker Engine: of all that it can do, what the autoscaler needs, for brokers and decoders alone.

Whoever has the Engine's socket has the machine. So only this small process has it. What it lets through it words
itself: the path, the parameters and above all the body of "create", which it works out from a container that runs and
compares with what was asked for. Nobody can ask for a privilege, a mount or an image that brokers and decoders do not
have. For the controller there is a gate of its own, which knows one request: which containers of the project are
labelled as an application's, where they are and whether they are healthy (`autoscaler.gate_apps`).
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web

from autoscaler.clone import CloneRefusedError, clone_body, clone_name, clone_networks
from autoscaler.containers import (
    CLONE,
    NUMBER,
    PROJECT,
    SERVICE,
    SERVICES,
    Container,
    belongs,
    labels_of,
    next_number,
    read_container,
)
from autoscaler.gate_apps import running_apps
from autoscaler.gate_engine import Answer, EngineSocket, open_engine
from autoscaler.gate_rules import ASKED, MAX_BODY_BYTES, Call, NotAllowedError, parse_call
from autoscaler.settings import GateSettings
from core.errors import UnavailableError
from runtime.bounded import TooLongError, read_bounded
from runtime.service import Stop
from runtime.serving import serving

MAX_REASON = 200
_FOR = {"autoscaler": ASKED - {"apps"}, "controller": {"ping", "version", "apps"}}
"""What is let through, by GATE_FOR."""
_QUIET = ("ping", "version", "list", "inspect", "apps")
"""What changes nothing is not worth a line."""

_log = structlog.stdlib.get_logger("gate")


class Gate:
    """Answers requests to the Engine."""

    def __init__(self, *, engine: EngineSocket, settings: GateSettings) -> None:
        self._engine = engine
        self._project = settings.compose_project
        self._settings = settings
        self._creating = asyncio.Lock()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request, whatever it is."""
        # The path as it came: what a server has tidied up could mean something else.
        method, target = request.method, request.raw_path
        try:
            body = await _read(request)
            call = parse_call(method, target, body, version=await self._engine.version())
            answer = await self._answer(call)
        except NotAllowedError as refused:
            reason = str(refused)[:MAX_REASON]
            _log.warning("refused", method=method[:MAX_REASON], target=target[:MAX_REASON], reason=reason)
            return web.json_response({"message": f"the gate refuses: {reason}"}, status=HTTPStatus.FORBIDDEN)
        except UnavailableError as error:
            _log.warning("failed", method=method, target=target[:MAX_REASON], reason=str(error)[:MAX_REASON])
            return web.json_response({"message": str(error)[:MAX_REASON]}, status=HTTPStatus.BAD_GATEWAY)
        if call.action not in _QUIET:
            _log.info(call.action, target=target[:MAX_REASON], status=answer.status)
        return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)

    async def _answer(self, call: Call) -> Answer:
        if call.action not in _FOR[self._settings.gate_for]:
            raise NotAllowedError(f"{call.action} is not for the {self._settings.gate_for}")
        own = {
            "ping": self._ping,
            "version": self._version,
            "list": self._list,
            "create": self._create,
            "connect": self._connect,
            "apps": self._apps,
        }
        if call.action in own:
            return await own[call.action](call)
        found = await self._own(call.id)
        if found is None:
            return Answer(HTTPStatus.NOT_FOUND, b'{"message": "no such container"}', "application/json")
        if call.action == "inspect":
            return _json_answer(found)
        method, path = ("DELETE", "") if call.action == "remove" else ("POST", f"/{call.action}")
        return await self._engine.call(method, f"/containers/{call.id}{path}", parameters=dict(call.parameters))

    async def _ping(self, _: Call) -> Answer:
        return await self._engine.call("GET", "/_ping", versioned=False)

    async def _version(self, _: Call) -> Answer:
        version = await self._engine.version()
        return _json_answer({"ApiVersion": version, "MinAPIVersion": version, "Version": "gate"})

    async def _list(self, call: Call) -> Answer:
        return _json_answer(await self._listed(all_=dict(call.parameters)["all"] == "1"))

    async def _apps(self, _: Call) -> Answer:
        return _json_answer(await running_apps(self._engine, self._project))

    async def _listed(self, *, all_: bool) -> list[dict[str, Any]]:
        parameters = {"all": "1" if all_ else "0", "filters": json.dumps({"label": [f"{PROJECT}={self._project}"]})}
        found = (await self._engine.call("GET", "/containers/json", parameters=parameters)).json()
        if not isinstance(found, list):
            raise UnavailableError("the Engine answers no list")
        return [each for each in found if belongs(each.get("Labels") or {}, self._project)]

    async def _own(self, container_id: str) -> dict[str, Any] | None:
        found = await self._engine.inspect(container_id)
        if found is not None and not belongs(labels_of(found), self._project):
            raise NotAllowedError(f"no broker or decoder of {self._project}")
        return found

    async def _create(self, call: Call) -> Answer:
        # One at a time: two would see the same number of containers.
        async with self._creating:
            return await self._create_one(call)

    async def _create_one(self, call: Call) -> Answer:
        service = _label(call.body, SERVICE)
        if service not in SERVICES:
            raise NotAllowedError("a container that is no broker or decoder")
        there = await self._of(service)
        maximum = self._settings.bounds(service).maximum
        # Clones count also before they are started, or there could be any number of those.
        if sum(container.runs or container.is_clone for container in there) >= maximum:
            raise NotAllowedError(f"there are {maximum} of {service} already, the most that there may be")
        number = next_number(there)
        if _label(call.body, NUMBER) != str(number):
            raise NotAllowedError(f"the next of {service} has number {number}")
        for container in there:
            if not container.runs:
                continue
            try:
                body = clone_body(container.inspected, number)
            except CloneRefusedError:
                continue
            if _same(body, call.body) and call.name == clone_name(container.inspected, number):
                return await self._engine.call(
                    "POST",
                    "/containers/create",
                    parameters={"name": clone_name(container.inspected, number)},
                    body=body,
                )
        raise NotAllowedError(f"a container that is not like a running one of {service}")

    async def _connect(self, call: Call) -> Answer:
        wanted = call.body.get("Container") if isinstance(call.body, dict) else None
        if not isinstance(wanted, str) or len(wanted) != len(call.id):
            raise NotAllowedError("a container without its whole id")
        found = await self._own(wanted)
        if found is None:
            raise NotAllowedError("a container that is not there")
        made = read_container(found)
        if made.state != "created" or not made.is_clone:
            raise NotAllowedError("a container that has been started, or was not made here")
        for container in await self._of(made.service):
            if not container.runs:
                continue
            endpoint = clone_networks(container.inspected, made.number).get(call.id)
            # Of what is said of the endpoint only the aliases count, and only if they are these.
            if endpoint is not None and (call.body.get("EndpointConfig") or {}).get("Aliases") == endpoint["Aliases"]:
                return await self._engine.call(
                    "POST", f"/networks/{call.id}/connect", body={"Container": made.id, "EndpointConfig": endpoint}
                )
        raise NotAllowedError(f"a network, or aliases in it, that no running container of {made.service} has")

    async def _of(self, service: str) -> list[Container]:
        found = []
        for listed in await self._listed(all_=True):
            if listed["Labels"][SERVICE] == service:
                inspected = await self._engine.inspect(listed["Id"])
                if inspected is not None and belongs(labels_of(inspected), self._project):
                    found.append(read_container(inspected))
        return found


def _label(body: Any, name: str) -> object:  # noqa: ANN401 - whatever was sent
    labels = body.get("Labels") if isinstance(body, dict) else None
    return labels.get(name) if isinstance(labels, dict) and labels.get(CLONE) == "true" else None


def _same(ours: object, theirs: object) -> bool:
    """As texts: in Python true equals 1."""
    return json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)


def _json_answer(value: object) -> Answer:
    return Answer(HTTPStatus.OK, json.dumps(value).encode(), "application/json")


async def _read(request: web.BaseRequest) -> bytes:
    try:
        return await read_bounded(request.content, MAX_BODY_BYTES)
    except TooLongError as error:
        raise NotAllowedError(f"a body that is {error}") from error


async def serve_gate(settings: GateSettings, stop: Stop) -> None:
    """Serve on GATE_HOST:GATE_PORT until `stop`. Raises BadSettingsError where the port is taken."""
    async with open_engine(settings.engine_socket) as engine:
        gate = Gate(engine=engine, settings=settings)
        runner = web.ServerRunner(web.Server(gate.handle, access_log=None))
        async with serving(runner, settings.gate_host, settings.gate_port, setting="GATE_HOST, GATE_PORT"):
            _log.info(
                "listening",
                host=settings.gate_host,
                port=settings.gate_port,
                project=settings.compose_project,
                serves=settings.gate_for,
            )
            await stop.wait()
