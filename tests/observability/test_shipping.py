"""What a running system says is found in a real store of logs, and no secret of the run is."""

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from deploy.observability.opensearch.searches import SEARCHES
from tests.e2e.system import System, start, wait_for
from tests.missing import missing
from tests.observability.recorded import Recorded
from tests.observability.shipper import Shipper
from tests.opensearch.server import OpenSearchServer, opensearch_jars

pytestmark = [pytest.mark.observability, pytest.mark.timeout(900)]
WAIT_SECONDS = 240.0
WRONG = "not-the-password-of-anybody"
HIDDEN = "/v1/hidden%20token%20aaaaaaaaaaaaaaaa"


@dataclass(slots=True)
class Run:
    """A system whose lines are shipped."""

    system: System
    store: OpenSearchServer
    shipper: Shipper
    log: Recorded
    secrets: dict[str, str]

    def all_shipped(self) -> list[dict[str, Any]]:
        """All documents, once each line that was written has become one."""
        count = self.log.write()
        wait_for(lambda: self.store.count() >= count, f"{count} documents", WAIT_SECONDS)
        return self.store.documents()

    def found(self, query: str) -> list[dict[str, Any]]:
        """What a query finds, once it finds anything."""

        def ask() -> list[dict[str, Any]]:
            self.log.write()
            return self.store.documents({"query_string": {"query": query}})

        result: list[dict[str, Any]] = wait_for(ask, f"a line that {query} finds", WAIT_SECONDS)
        return result


def connect(system: System, user: str, password: str) -> str:
    """Log in once; what the broker answered."""
    answers: list[str] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, f"{user}-phone", reconnect_on_failure=False)
    client.username_pw_set(user, password)
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(str(reason))
    client.connect("127.0.0.1", system.mqtt_port)
    client.loop_start()
    try:
        wait_for(lambda: answers, "an answer to a login", WAIT_SECONDS)
    finally:
        client.disconnect()
        client.loop_stop()
    return answers[0]


def process(system: System, has: Callable[[Path], bool]) -> int:
    """The number of one of the system's processes, of which something is true that its folder in /proc says."""

    def look() -> int | None:
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                if f"PPid:\t{system.process.pid}\n" in (folder / "status").read_text() and has(folder):
                    return int(folder.name)
        return None

    found: int = wait_for(look, "a process", WAIT_SECONDS)
    return found


def broker(system: System, name: str) -> int:
    """The number of the process of a node."""
    return process(system, lambda folder: f"BROKER_NODE={name}" in (folder / "environ").read_text().split("\0"))


def api(system: System) -> int:
    """The number of the process of the API."""
    return process(system, lambda folder: (folder / "cmdline").read_text().split("\0")[1:3] == ["-m", "api"])


def asked(system: System, path: str, *, seconds: float) -> int:
    """The status of an answer; 0 where none has come in time, as until HAProxy knows that the API hangs."""
    try:
        return httpx.get(f"{system.url}{path}", timeout=seconds).status_code
    except httpx.TimeoutException:
        return 0


@contextmanager
def stopped(number: int) -> Iterator[None]:
    """A process that does nothing while the context lasts."""
    os.kill(number, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(number, signal.SIGCONT)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    jars = opensearch_jars()
    if jars is None:
        missing("OpenSearch", "make opensearch gets it (Maven, a JDK of Java 17)")
    if shutil.which("haproxy") is None:
        missing("haproxy", "Debian: apt install haproxy")
    folder = tmp_path_factory.mktemp("shipping")
    (folder / "logs").mkdir()
    store = OpenSearchServer(jars, folder / "opensearch")
    store.start()
    store.put_template()
    system = start(
        folder / "data",
        until="ready: MQTT",
        HAPROXY_LOG_LEVEL="info",
        LOG_FORMAT="json",
        LOG_LEVEL="debug",
    )
    log = Recorded(system, folder / "logs")
    log.write()
    shipper = Shipper(folder / "shipper", log.files, store.url)
    shipper.start()
    try:
        yield Run(system, store, shipper, log, {})
    finally:
        system.stop()
        shipper.kill()
        store.kill()


@pytest.fixture(scope="module")
def happened(run: Run) -> Run:
    """After a login, refused ones, requests with and without a key, and the end of a node."""
    made = run.system.run("broker", "users", "add", "ann", "--role", "mobile")
    assert made.returncode == 0, made.stderr
    run.secrets["the password of a user"] = made.stdout.split()[-1]
    key = run.system.run("api", "keys", "add", "--scope", "positions:read", "--name", "shipping")
    assert key.returncode == 0, key.stderr
    [run.secrets["a key of the API"]] = re.findall(r"ck_[0-9a-f]{16}_\S+", key.stdout)
    run.secrets["a wrong password"] = WRONG
    run.secrets["the key of the hashes"] = (run.system.data_dir / "device.key").read_text().strip()
    assert connect(run.system, "ann", run.secrets["the password of a user"]) == "Success"
    for _ in range(3):
        assert connect(run.system, "ann", WRONG) != "Success"
    run.system.get("/v1/zones")
    headers = {"Authorization": f"Bearer {run.secrets['a key of the API']}"}
    httpx.get(f"{run.system.url}/v1/positions?limit=1", headers=headers, timeout=60)
    # A client may put into a path what it likes.
    assert asked(run.system, HIDDEN, seconds=60) == 404
    with stopped(api(run.system)):
        wait_for(lambda: asked(run.system, "/v1/zones", seconds=2) == 503, "a 503", WAIT_SECONDS)
    node = broker(run.system, "broker-2")
    with stopped(node):
        run.found('event:"a node is gone: its sessions are free, its wills are published"')
    run.found('event:"others took this node for dead, or Redis was emptied"')
    os.kill(node, signal.SIGUSR1)
    run.found("event:drained")
    return run


def test_every_line_has_arrived_once_with_who_wrote_it(happened: Run) -> None:
    found = happened.all_shipped()
    assert len(found) == len(happened.log.lines) == len({each["_id"] for each in found})
    for each in found:
        assert each["service"], each
        assert each["node"], each
        assert re.fullmatch(r"logs-\d{4}-\d\d-\d\d", each["_index"])
    nodes = {each["node"] for each in found}
    assert {"broker-1", "broker-2"} <= nodes


def test_a_refused_login_is_found_without_what_was_typed(happened: Run) -> None:
    found = happened.found("event:refused AND reason:refused_connect")
    assert {each["level"] for each in found} == {"warning"}
    assert WRONG not in json.dumps(found)


def test_a_request_is_found_with_path_and_status(happened: Run) -> None:
    [found, *_] = happened.found('event:request AND path:"/v1/zones"')
    assert (found["method"], int(found["status"])) == ("GET", 200)
    assert found["service"] == "haproxy"


def test_the_end_of_a_node_is_found_at_the_node_that_saw_it(happened: Run) -> None:
    found = happened.found('event:"a node is gone: its sessions are free, its wills are published"')
    assert len(found) == 1
    assert happened.found('event:"joined the cluster"')


def test_no_password_and_no_key_of_the_run_is_in_any_document(happened: Run) -> None:
    assert len(happened.secrets) == 4
    everything = json.dumps(happened.all_shipped())
    for what, secret in happened.secrets.items():
        assert secret not in everything, what
        assert not happened.store.documents({"query_string": {"query": f'"{secret}"'}}), what


def test_after_an_outage_of_the_store_nothing_is_missing_and_nothing_is_there_twice(happened: Run) -> None:
    happened.all_shipped()
    happened.store.kill()
    for number in range(20):
        happened.system.get(f"/v1/zones?{number}")
    happened.log.write()
    happened.store.wait_until_somebody_asks()
    happened.store.start()
    found = happened.all_shipped()
    assert len(found) == len(happened.log.lines) == len({each["_id"] for each in found})


def test_each_saved_search_finds_what_it_is_for(happened: Run) -> None:
    happened.all_shipped()
    found = {each.id for each in SEARCHES if happened.store.documents({"query_string": {"query": each.query}})}
    wanted = {"joined", "gone", "taken-for-dead", "refused-logins", "drained", "api-errors", "not-shipped"}
    assert found == wanted, "of defects none has happened"


def test_a_client_does_not_hide_what_it_asked_for(happened: Run) -> None:
    [hidden] = happened.found("event:request AND masked:1")
    assert hidden["path"] == "/v1/hidden token [redacted]"
    assert (hidden["method"], int(hidden["status"]), hidden["address"]) == ("GET", 404, "127.0.0.1")
