"""What a running system says is found in a real store of logs, and no secret of the run is."""

import json
import os
import re
import shutil
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
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
FRONT = """#!/bin/sh
# Says which requests there are: on a laptop it does not unless asked.
HAPROXY_LOG_LEVEL=info; export HAPROXY_LOG_LEVEL
for each; do shift; [ "$each" = -q ] || set -- "$@" "$each"; done
exec {haproxy} "$@"
"""


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


def broker(system: System, name: str) -> int:
    """The number of the process of a node."""

    def look() -> int | None:
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                of = f"PPid:\t{system.process.pid}\n" in (folder / "status").read_text()
                if of and f"BROKER_NODE={name}" in (folder / "environ").read_text().split("\0"):
                    return int(folder.name)
        return None

    found: int = wait_for(look, f"a process of {name}", WAIT_SECONDS)
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    jars, haproxy = opensearch_jars(), shutil.which("haproxy")
    if jars is None:
        missing("OpenSearch", "make opensearch gets it (Maven, a JDK of Java 17)")
    if haproxy is None:
        missing("haproxy", "Debian: apt install haproxy")
    folder = tmp_path_factory.mktemp("shipping")
    (folder / "logs").mkdir()
    front = folder / "bin" / "haproxy"
    front.parent.mkdir()
    front.write_text(FRONT.format(haproxy=haproxy))
    front.chmod(front.stat().st_mode | stat.S_IXUSR)
    store = OpenSearchServer(jars, folder / "opensearch")
    store.start()
    store.put_template()
    system = start(
        folder / "data",
        path=f"{front.parent}:{os.environ['PATH']}",
        until="ready: MQTT",
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
    node = broker(run.system, "broker-2")
    os.kill(node, signal.SIGSTOP)
    try:
        run.found('event:"a node is gone: its sessions are free, its wills are published"')
    finally:
        os.kill(node, signal.SIGKILL)
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
    found = {each.id for each in SEARCHES if happened.store.documents({"query_string": {"query": each.query}})}
    assert {"joined", "gone", "refused-logins"} <= found
    # Requests that ended in 5xx there may be, of the time before the API was there.
    assert not {"defects", "not-shipped"} & found, "nothing of that kind has happened"
