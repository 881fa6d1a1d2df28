"""Starting a peer: its Redis, its nodes, HAProxy in front, and all of them gone at the end."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import redis

from bench.broker.connection import HOST, BrokenError, connected
from bench.broker.peers import ROOT, Peer, Place
from bench.servers import redis_server
from runtime.settings import REDIS_SOCKET
from state.raw import keys_of
from state.totals import ACCEPTED, FINISHED
from tests.ports import free_port

START_SECONDS = 30.0
STOP_SECONDS = 10.0
TRIM_SECONDS = 0.1
KEPT_ENTRIES = 100
"""In the stream `raw`, the rest of which is cut off as by a decoder that keeps up. Nothing reads it."""
HAPROXY_CONFIG = """\
global
    maxconn 2000
defaults
    mode tcp
    timeout connect 3s
    timeout client 60s
    timeout server 60s
frontend mqtt
    bind {host}:{port}
    default_backend brokers
backend brokers
    balance leastconn
{servers}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A peer that has answered a CONNECT on each node."""

    ports: Sequence[int]
    websocket_ports: Sequence[int]
    pids: Sequence[int]
    redis_pid: int | None


@contextmanager
def running(peer: Peer, nodes: int) -> Iterator[Running]:
    """Start so many nodes of a peer, fresh. Raises Broken, with the end of its log, where one does not start."""
    with ExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="bench-broker-")))
        # Mosquitto reads its settings as a user of its own.
        folder.chmod(0o755)
        redis_pid = None
        if peer.redis is not None:
            address = resources.enter_context(redis_server(folder, *peer.redis))
            client = resources.enter_context(redis.Redis.from_url(address))
            redis_pid = int(client.info("server")["process_id"])
            resources.enter_context(trimming(client))
        ports = free_ports(3 * nodes)
        places = [
            Place(
                number=number + 1,
                port=ports[3 * number],
                websocket_port=ports[3 * number + 1],
                ops_port=ports[3 * number + 2],
                folder=folder,
                redis_socket=folder / REDIS_SOCKET,
            )
            for number in range(nodes)
        ]
        pids = [resources.enter_context(_node(peer, place)) for place in places]
        yield Running(
            ports=[place.port for place in places],
            websocket_ports=[place.websocket_port for place in places],
            pids=pids,
            redis_pid=redis_pid,
        )


@contextmanager
def haproxy(ports: Sequence[int]) -> Iterator[int]:
    """HAProxy in front of `ports`, plain TCP; its port. Raises Broken where there is none."""
    executable = shutil.which("haproxy")
    if not executable:
        raise BrokenError("haproxy is missing: install Debian's haproxy")
    with tempfile.TemporaryDirectory(prefix="bench-haproxy-") as name:
        folder = Path(name)
        (port,) = free_ports(1)
        servers = "\n".join(f"    server node-{number} {HOST}:{each}" for number, each in enumerate(ports, 1))
        config = folder / "haproxy.cfg"
        config.write_text(HAPROXY_CONFIG.format(host=HOST, port=port, servers=servers), encoding="utf-8")
        with _process([executable, "-db", "-q", "-f", str(config)], {}, folder / "haproxy.log", port, START_SECONDS):
            yield port


def free_ports(count: int) -> list[int]:
    """So many different ports of 127.0.0.1 that nobody listens on."""
    return [free_port() for _ in range(count)]


@contextmanager
def _node(peer: Peer, place: Place) -> Iterator[int]:
    log = place.folder / f"node-{place.number}.log"
    with _process(peer.command(place), peer.environment(place), log, place.port, peer.start_seconds) as pid:
        yield pid


@contextmanager
def _process(
    command: Sequence[str], environment: Mapping[str, str], log: Path, port: int, seconds: float
) -> Iterator[int]:
    """A process that accepts MQTT at `port`; its id."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - found on the PATH or our own, with arguments of our own
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _until_connected(process, port, log, seconds)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_connected(process: "subprocess.Popen[bytes]", port: int, log: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError, BrokenError):
            connected(port, "is-it-up").close()
            return
        time.sleep(0.05)
    end = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise BrokenError(f"did not start: {' '.join(end) or 'it says nothing'}")


@contextmanager
def trimming(client: redis.Redis) -> Iterator[None]:
    """Cut off the stream of a node all the time."""
    stop = threading.Event()

    def trim() -> None:
        while not stop.wait(TRIM_SECONDS):
            with suppress(redis.RedisError):
                # As decoders do: what is cut off is said to be finished, or the node would wait for them.
                accepted = client.hget(keys_of(0, 1).totals, ACCEPTED)
                client.xtrim(keys_of(0, 1).raw, maxlen=KEPT_ENTRIES, approximate=True)
                client.hset(keys_of(0, 1).totals, FINISHED, accepted or 0)

    thread = threading.Thread(target=trim, name="trimming")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
