"""The flows of simulator/node-red in a real Node-RED, over the whole system behind HAProxy."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from runtime.demo_users import kept_demo_users
from tests.conftest import missing
from tests.couchdb.double import PASSWORD as COUCHDB_PASSWORD
from tests.couchdb.double import USER as COUCHDB_USER
from tests.couchdb.double import CouchDouble, is_there
from tests.e2e.system import System, start, wait_for
from tests.node_red.node_red import FLOWS, NodeRed, for_system, node_red

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
LIMIT = 90.0


@pytest.fixture(scope="module")
def couchdb() -> Iterator[CouchDouble]:
    if not is_there():
        missing("the double of CouchDB", "install Node.js, then: npm ci --prefix tests/node")
    with CouchDouble() as double:
        yield double


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, couchdb: CouchDouble) -> Iterator[System]:
    with ExitStack() as stack:
        running = start(tmp_path_factory.mktemp("system"), DOCUMENT_STORE="cloudant", **couchdb.environment)
        stack.callback(running.stop)
        yield running


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory, system: System, couchdb: CouchDouble) -> Iterator[NodeRed]:
    with node_red(
        tmp_path_factory.mktemp("node-red") / "user",
        "flows.json",
        **for_system(system),
        COUCHDB_URL=couchdb.url,
        COUCHDB_USERNAME=COUCHDB_USER,
        COUCHDB_PASSWORD=COUCHDB_PASSWORD,
    ) as running:
        yield running


def test_positions_of_both_kinds_come_out_of_the_rest_api(flows: NodeRed, system: System) -> None:
    assert flows.process.poll() is None

    def counted() -> bool:
        campus = system.get("/v1/zones/campus/occupancy").json()
        return bool((campus["car"], campus["mobile"]) == (5, 5))

    wait_for(counted, "five cars and five phones", LIMIT)
    assert system.total("outside") == 0
    assert not [name for name in ("no_device", "bad_json", "bad_base64") if system.total(f"dead:{name}")]


def test_the_second_flow_reads_the_api_and_hears_the_mirror(flows: NodeRed, system: System) -> None:
    def read() -> bool:
        zones = {zone["zone"]: zone["total"] for zone in flows.known("occupancy") or []}
        mirrored = flows.known("mirrored") or {}
        campus = mirrored.get("v1/zones/campus/occupancy")
        return zones.get("campus") == 10 and campus is not None and campus["total"] == 10

    wait_for(read, "what the API says, and what the mirror says", LIMIT)
    assert len(flows.known("mirrored")) == len(system.get("/v1/occupancy").json()["zones"])


def test_the_third_flow_finds_documents_in_the_store(flows: NodeRed) -> None:
    documents = wait_for(lambda: flows.known("documents"), "documents", LIMIT)

    assert 1 <= len(documents) <= 10
    for document in documents:
        assert document["type"] == "Feature"
        # A device is a hash from the decoder on (law 5, hashes): the store has no name of it.
        assert "node-red-" not in json.dumps(document)


def test_the_editor_wants_a_password_and_without_one_there_is_none(
    flows: NodeRed, system: System, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert httpx.get(f"{flows.url}/flows").status_code == 401
    refused = httpx.post(
        f"{flows.url}/auth/token",
        data={
            "client_id": "node-red-admin",
            "grant_type": "password",
            "scope": "*",
            "username": "admin",
            "password": "another",
        },
    )
    assert refused.status_code in (401, 403)

    folder = tmp_path_factory.mktemp("no-editor") / "user"
    with node_red(folder, "flows.json", password="", **for_system(system)) as running:
        assert httpx.get(f"{running.url}/").status_code == 404
        assert httpx.get(f"{running.url}/flows").status_code == 404


def test_who_needs_a_user_and_a_key_has_them_from_the_environment_or_from_files_of_secrets(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    closed = start(tmp_path_factory.mktemp("closed"), MQTT_ALLOW_ANONYMOUS="false")
    try:
        [gateway] = [user for user in kept_demo_users(closed.data_dir) if user.role == "gateway"]
        folder = tmp_path_factory.mktemp("user") / "user"
        secrets = tmp_path_factory.mktemp("secrets")
        (secrets / "MQTT_PASSWORD").write_text(f"{gateway.password}\n")
        (secrets / "API_KEY").write_text((closed.data_dir / "demo-api-key").read_text())
        with node_red(
            folder,
            "flows.json",
            **for_system(closed),
            MQTT_USERNAME=gateway.name,
            NODE_RED_SECRETS=str(secrets),
            TOPICS="mobile-iotp",
        ) as running:
            wait_for(
                lambda: closed.get("/v1/zones/campus/occupancy").json()["mobile"] == 10,
                "ten phones of a gateway",
                LIMIT,
            )
            # No store is named: the third flow asks the API.
            documents = wait_for(lambda: running.known("documents"), "documents", LIMIT)
            assert {document["type"] for document in documents} == {"Feature"}
            assert gateway.password not in "".join(
                path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()
            )
    finally:
        closed.stop()


def nodes(file: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FLOWS / file).read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("file", ["flows.json", "dashboard.json"])
def test_what_is_imported_holds_no_credentials_and_no_address(file: str) -> None:
    for node in nodes(file):
        assert "credentials" not in node, node["id"]
        assert node.get("broker") in (None, "${MQTT_HOST}", "campus_broker"), node["id"]
        assert not re.search(r"https?://", json.dumps(node)), node["id"]


def test_the_flows_need_no_palette_of_others_and_each_wire_leads_somewhere() -> None:
    flows = nodes("flows.json")
    assert not [node["type"] for node in flows if node["type"].startswith("ui-")]
    for file in ("flows.json", "dashboard.json"):
        known = {node["id"] for node in nodes(file)}
        for node in nodes(file):
            for wires in node.get("wires", []):
                assert set(wires) <= known, node["id"]
            assert node.get("z") in {None, *known}
    assert not {node["id"] for node in flows} & {node["id"] for node in nodes("dashboard.json")}
