"""Its peers: a broker, a subscriber that decodes, fences and writes, and the same store."""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from bench.broker.peers import AEDES, MOSCA, MOSQUITTO, Peer, all_peers
from bench.broker.peers import Place as BrokerPlace
from bench.broker.peers.node import PACKAGES
from bench.broker.peers.peer import EVERY_SECOND, ROOT
from bench.broker.running import free_ports
from bench.pipelines.parts import Part
from bench.pipelines.pipeline import CONSUMER, Pipeline, Place
from geofence.campus import DEFAULT_CAMPUS
from tests.couchdb.double import PASSWORD, USER

DATABASE = "positions"
NODE_RED = ROOT / "tests" / "node-red"


class BrokerAndSubscriber(Pipeline):
    """A broker of `bench.broker.peers` and a consumer."""

    def __init__(self, name: str, broker: str, configuration: str) -> None:
        self.name = name
        self._broker: Peer = next(peer for peer in all_peers() if peer.name == broker)
        self.configuration = f"{self._broker.configuration} {configuration}"
        self._port = 0

    def missing(self) -> str | None:
        """Why its broker is not there."""
        return self._broker.missing

    def versions(self) -> dict[str, str]:
        """Of the broker."""
        return {self._broker.name: self._broker.version}

    @property
    def port(self) -> int:
        """Of the broker."""
        return self._port

    def parts(self, place: Place) -> Sequence[Part]:
        """Redis where the broker has one, the broker, the consumer."""
        self._port, websocket, ops = free_ports(3)
        socket = place.folder / "redis.sock"
        where = BrokerPlace(
            number=1,
            port=self._port,
            websocket_port=websocket,
            ops_port=ops,
            folder=place.folder,
            redis_socket=socket,
        )
        login = (USER, PASSWORD)
        httpx.put(f"{place.couchdb.url}/{DATABASE}", auth=login).raise_for_status()
        found = []
        if self._broker.redis is not None:
            # At a port as well, so that it can be seen when it is up.
            (port,) = free_ports(1)
            command = ["redis-server", "--port", str(port), "--unixsocket", str(socket), "--save", ""]
            found.append(Part("Redis", [*command, "--dir", str(place.folder), *EVERY_SECOND], port=port))
        found.append(
            Part(
                "broker",
                self._broker.command(where),
                self._broker.environment(where),
                self._port,
                place.folder / "broker.log",
            )
        )
        return [*found, self.consumer(place)]

    def consumer(self, place: Place) -> Part:
        """What decodes, fences and writes."""
        raise NotImplementedError

    def _consumer(self, command: Sequence[str], place: Place, **environment: str) -> Part:
        own = {"COUCHDB_LOGIN": f"{USER}:{PASSWORD}", **environment}
        return Part(CONSUMER, command, own, None, place.folder / "consumer.log")

    def _arguments(self, place: Place) -> list[str]:
        return [str(self._port), f"{place.couchdb.url}/{DATABASE}", str(DEFAULT_CAMPUS)]


class Aedes(BrokerAndSubscriber):
    """(c) Aedes with Redis, and a subscriber in Node.js."""

    def __init__(self) -> None:
        super().__init__(
            "(c) Aedes + Node.js", AEDES, "bench/node/subscriber.mjs: a persistent session at QoS 1, batches of 200."
        )

    def missing(self) -> str | None:
        """The subscriber needs MQTT.js as well."""
        return super().missing() or (
            None if (PACKAGES / "node_modules" / "mqtt").is_dir() else "not installed: npm ci --prefix bench/node"
        )

    def consumer(self, place: Place) -> Part:
        """In Node.js."""
        return self._consumer(["node", str(PACKAGES / "subscriber.mjs"), *self._arguments(place)], place)


class Mosquitto(BrokerAndSubscriber):
    """(d) Mosquitto, and a subscriber with paho and shapely."""

    def __init__(self) -> None:
        super().__init__(
            "(d) Mosquitto + paho",
            MOSQUITTO,
            "bench/pipelines/subscriber.py: a persistent session at QoS 1, batches of 200.",
        )

    def consumer(self, place: Place) -> Part:
        """In Python."""
        return self._consumer([sys.executable, "-m", "bench.pipelines.subscriber", *self._arguments(place)], place)


class NodeRed(BrokerAndSubscriber):
    """(b) The pipeline of the original: Mosca with Redis, Node-RED, a document each."""

    def __init__(self) -> None:
        super().__init__(
            "(b) Mosca + Node-RED",
            MOSCA,
            "Node-RED with one flow: mqtt in at QoS 1, a function that decodes and fences, a request for each document,"
            " as the original's flow wrote them.",
        )

    def missing(self) -> str | None:
        """Node-RED itself."""
        there = shutil.which("node") and (NODE_RED / "node_modules" / "node-red").is_dir()
        return super().missing() or (
            None if there else "not installed: npm ci --ignore-scripts --prefix tests/node-red"
        )

    def versions(self) -> dict[str, str]:
        """Of Node-RED, too."""
        package = NODE_RED / "node_modules" / "node-red" / "package.json"
        return super().versions() | {"Node-RED": json.loads(package.read_text(encoding="utf-8"))["version"]}

    def consumer(self, place: Place) -> Part:
        """Node-RED with its flow in a folder of its own."""
        (port,) = free_ports(1)
        folder = place.folder / "node-red"
        folder.mkdir(exist_ok=True)
        (folder / "flows.json").write_text(json.dumps(_flow(self._port, place)), encoding="utf-8")
        (folder / "settings.js").write_text(_SETTINGS, encoding="utf-8")
        red = NODE_RED / "node_modules" / "node-red" / "red.js"
        command = ["node", str(red), "--userDir", str(folder), "--port", str(port), "flows.json"]
        part = self._consumer(command, place)
        part.port = port
        return part


_SETTINGS = """module.exports = {
  uiHost: '127.0.0.1', flowFile: 'flows.json', credentialSecret: false, logging: { console: { level: 'warn' } },
  telemetry: { enabled: false }, editorTheme: { projects: { enabled: false } }, functionExternalModules: false,
}
"""
_DECODE = """
const feature = JSON.parse(Buffer.from(msg.payload.toString(), 'base64').toString());
const [x, y] = feature.geometry.coordinates;
const ring = %s;
let inside = false;
for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
  const [[xi, yi], [xj, yj]] = [ring[i], ring[j]];
  if ((yi > y) !== (yj > y) && x < (xj - xi) * (y - yi) / (yj - yi) + xi) inside = !inside;
}
if (!inside) return null;
const { device_id, timestamp } = feature.properties;
return {
  url: %s, method: 'POST', headers: { authorization: %s, 'content-type': 'application/json' },
  payload: { _id: `${device_id}:${timestamp}`, topic: msg.topic, ...feature },
};
"""


def _flow(port: int, place: Place) -> list[dict[str, object]]:
    features = json.loads(Path(DEFAULT_CAMPUS).read_text(encoding="utf-8"))["features"]
    outline = next(feature for feature in features if feature["properties"].get("role") == "boundary")
    login = httpx.BasicAuth(USER, PASSWORD)
    header = next(login.auth_flow(httpx.Request("GET", place.couchdb.url))).headers["authorization"]
    decode = _DECODE % (
        json.dumps(outline["geometry"]["coordinates"][0]),
        json.dumps(f"{place.couchdb.url}/{DATABASE}"),
        json.dumps(header),
    )
    into = {
        "z": "tab",
        "type": "mqtt in",
        "qos": "1",
        "datatype": "buffer",
        "broker": "broker",
        "inputs": 0,
        "wires": [["decode"]],
    }
    return [
        {"id": "tab", "type": "tab", "label": "positions"},
        {
            "id": "broker",
            "type": "mqtt-broker",
            "broker": "127.0.0.1",
            "port": str(port),
            "clientid": "node-red",
            "cleansession": False,
            "protocolVersion": "4",
            "keepalive": "60",
        },
        {"id": "cars", "topic": "car-iotp", **into},
        {"id": "phones", "topic": "mobile-iotp", **into},
        {
            "id": "decode",
            "z": "tab",
            "type": "function",
            "func": decode,
            "outputs": 1,
            "libs": [],
            "wires": [["write"]],
        },
        {"id": "write", "z": "tab", "type": "http request", "method": "use", "ret": "txt", "wires": [[]]},
    ]
