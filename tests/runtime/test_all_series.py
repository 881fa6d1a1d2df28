"""Every series of every service is there at its first scrape: an alert on what has never happened yet then works.

`increase()` of a counter that appears with its first event misses that event, and a sum of nothing is no number. So the
services are asked before there is a Redis, and again after they have worked, have been away from it, and have refused
what they were sent.
"""

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import WAIT_SECONDS, eventually, free_port
from tests.mqtt.wire import connect, publish
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.process import RedisProcess, free_ports

ROOT = Path(__file__).parents[2]
NOT_KNOWN_IN_ADVANCE = {
    # Routes are known, but of each route and method there are dozens of statuses: alerts use api_responses_total.
    "api_requests",
    "api_request_seconds",
    # What Redis holds: absent while nobody has read it, so that nobody takes it for 0.
    "decoder_backlog_entries",
    "decoder_waiting_messages",
    "decoder_oldest_entry_age_seconds",
    "decoder_dead_letters_capped",
    "decoder_marked_devices",
    # Applications and their versions come and go.
    "controller_instances",
}
Series = set[tuple[str, tuple[tuple[str, str], ...]]]
STARTED = ("broker", "decoder", "api", "autoscaler", "controller")
POSITION = {"type": "Point", "coordinates": [-8.5733, 52.6735]}


class Services:
    """One process of each, with a Redis that is not there yet."""

    def __init__(self, folder: Path, redis_port: int) -> None:
        self._folder = folder
        self.mqtt, self.http = free_port(), free_port()
        self._ops = {service: free_port() for service in STARTED}
        self._processes: list[asyncio.subprocess.Process] = []
        self._settings = {
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}",
            "DATA_DIR": str(folder),
            "BROKER_NODE": "node-1",
            "BROKER_PORT": str(self.mqtt),
            "API_PORT": str(self.http),
            "MIRROR_URL": "",
            "PARTITIONS": "2",
            "ROLLUP_EVERY": "0.5",
            "MQTT_ALLOW_ANONYMOUS": "true",
            "STAGES": "observe,archive,rollup,judge",
            "DOCKER_HOST": f"tcp://127.0.0.1:{free_port()}",
            "HAPROXY_SOCKET": str(folder / "admin.sock"),
            "REGISTRY": "file",
            "REGISTRY_FOLDER": str(folder),
            "ROUTES_FOLDER": str(folder),
        }

    async def start(self) -> None:
        for service, port in self._ops.items():
            with (self._folder / f"{service}.log").open("wb") as log:
                self._processes.append(
                    await asyncio.create_subprocess_exec(
                        *(sys.executable, "-m", service),
                        cwd=ROOT,
                        env={**os.environ, **self._settings, "OPS_PORT": str(port)},
                        stdout=log,
                        stderr=log,
                    )
                )

    async def end(self) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()

    async def scrape(self, service: str) -> str:
        """What a service shows, as soon as it shows anything."""

        async def shown() -> str | None:
            try:
                async with httpx.AsyncClient(trust_env=False) as client:
                    return (await client.get(f"http://127.0.0.1:{self._ops[service]}/metrics")).text
            except httpx.TransportError:
                return None

        text = await eventually(shown, limit=6 * WAIT_SECONDS)
        assert text, (self._folder / f"{service}.log").read_text()[-2000:]
        return text

    async def value(self, service: str, name: str, /, **labels: str) -> float:
        """The sum of a sample over the labels that are not given."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(await self.scrape(service))
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def series(text: str) -> Series:
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in text_string_to_metric_families(text)
        # The text format has the time at which a counter was made as a family of its own.
        if family.name.removesuffix("_created") not in NOT_KNOWN_IN_ADVANCE
        for sample in family.samples
    }


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[tuple[Services, RedisProcess]]:
    (port,) = free_ports(1)
    redis = RedisProcess(redis_executable(), tmp_path / "redis", port, "--appendonly", "yes")
    running = Services(tmp_path, port)
    try:
        await running.start()
        yield running, redis
    finally:
        await running.end()
        redis.kill()


async def send(port: int, *packets: bytes) -> None:
    """Send packets, and wait for as many answers of four bytes, or for the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"".join(packets))
        with suppress(asyncio.IncompleteReadError):
            await asyncio.wait_for(reader.readexactly(4 * len(packets)), WAIT_SECONDS)
    finally:
        writer.close()


@pytest.mark.timeout(300)
async def test_no_series_of_any_service_appears_after_its_first_scrape(
    services: tuple[Services, RedisProcess],
) -> None:
    running, redis = services
    first = {service: series(await running.scrape(service)) for service in STARTED}

    await asyncio.to_thread(redis.start)

    async def listens() -> bool:
        try:
            await send(running.mqtt, connect("a"))
        except OSError:
            return False
        return True

    await eventually(listens, limit=2 * WAIT_SECONDS)
    device = {"type": "Feature", "geometry": POSITION, "properties": {"device_id": "bus"}}
    await send(
        running.mqtt,
        connect("bus"),
        publish("car-iotp", base64.b64encode(json.dumps(device).encode()), qos=1, packet_id=1),
        publish("car-iotp", b"not a position", qos=1, packet_id=2),
    )
    await send(running.mqtt, connect("b", user="nobody", password=b"wrong"))
    await send(running.mqtt, b"GET / HTTP/1.0\r\n\r\n")

    async def rolled_up() -> bool:
        return await running.value("decoder", "decoder_rolled_up_windows_total") > 0

    await eventually(rolled_up, limit=3 * WAIT_SECONDS)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.http}", trust_env=False) as client:
        for path in ("/v1/occupancy", "/v1/nothing"):
            await client.get(path)
    await asyncio.to_thread(redis.kill)

    async def waits() -> bool:
        return await running.value("decoder", "decoder_waiting", stage="observe") > 0

    await eventually(waits, limit=3 * WAIT_SECONDS)

    async def seen_to_be_away() -> bool:
        return await running.value("broker", "redis_up") == 0

    await eventually(seen_to_be_away)
    await asyncio.to_thread(redis.start)

    async def goes_on() -> bool:
        return not await running.value("decoder", "decoder_waiting")

    await eventually(goes_on, limit=3 * WAIT_SECONDS)
    assert await running.value("broker", "broker_logins_total", role="anonymous") >= 2
    assert await running.value("broker", "broker_refused_total", reason="refused_connect") >= 1
    for stage in ("observe", "archive", "rollup"):
        assert await running.value("decoder", "decoder_freshness_seconds_count", stage=stage) >= 1
    assert await running.value("api", "api_responses_total", **{"class": "4xx"}) >= 1
    for service in STARTED:
        assert series(await running.scrape(service)) - first[service] == set(), service
        assert await running.value(service, "campus_build_info", service=service) == 1
        assert await running.value(service, "process_start_time_seconds") > 0
