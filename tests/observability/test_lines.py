"""Each line of a log becomes one document: whoever wrote it, in whatever form, and never with a secret."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.system import wait_for
from tests.observability.shipper import Shipper, docker_lines
from tests.opensearch.server import OpenSearchServer

pytestmark = [pytest.mark.observability, pytest.mark.timeout(420)]
NewShipper = Callable[[str, str], Shipper]
WAIT_SECONDS = 90.0
AT = "2026-11-29T10:00:00.123456Z"
SECRETS = {
    "a key of the API": "the key ck_0123456789abcdef_Qm9uZXMtYW5kLXN0b25lcw was used",
    "a bearer": "Authorization: Bearer abcdefghijklmnopqrstuvwxyz",
    "a token of InfluxDB": "Token 0123456789abcdef0123456789abcdef",
    "a basic login": "authorization: Basic Y2FtcHVzOnBhc3N3b3JkMTIz",
    "a login in an address": "redis://broker:hunter2hunter2@redis:6379/0 does not answer",
    "a member that is a password": json.dumps({"event": "login", "password": "hunter2hunter2"}),
    "a member that is a token": json.dumps({"event": "store", "influxdb_v2_token": "hunter2hunter2"}),
}
NO_SECRETS = (
    "Bearer token is missing",
    "http://api:8081/v1/zones?a=b:c@d",
    "Token of the store was refused",
    json.dumps({"event": "login", "password": "[redacted]"}),
    "redis://broker:[redacted]@redis:6379/0 does not answer",
)


def shipped(
    opensearch: OpenSearchServer, new_shipper: NewShipper, file: Path, text: str, count: int, files: Path | None = None
) -> list[dict[str, Any]]:
    """What becomes of a file, once there are `count` documents."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    new_shipper(str(files or file.with_name("*.log")), opensearch.url)
    wait_for(lambda: opensearch.count() >= count, f"{count} documents", WAIT_SECONDS)
    found = opensearch.documents()
    assert len(found) == count, found
    return found


def by_event(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["event"]: each for each in found}


def test_a_line_of_json_is_the_document_with_what_docker_knows_of_it(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path
) -> None:
    says_all = {"event": "a", "timestamp": AT, "service": "api", "node": "api-7", "level": "warning", "seconds": 0.25}
    says_less = {"event": "b", "level": "info"}
    text = docker_lines([json.dumps(says_all), json.dumps(says_less)], service="broker", number=2)
    found = by_event(shipped(opensearch, new_shipper, tmp_path / "0123-json.log", text, 2))
    assert {key: found["a"][key] for key in says_all} == says_all
    assert found["a"]["_index"] == "logs-2026-11-29"
    assert (found["b"]["service"], found["b"]["node"]) == ("broker", "broker-2")
    assert found["b"]["timestamp"] == "2026-11-30T20:00:00.123456789Z"
    assert found["b"]["_index"] == "logs-2026-11-30"


def test_a_plain_line_is_the_event_of_a_document_with_the_level_by_its_own_mark(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path
) -> None:
    redis = ["1:M 30 Nov 2026 20:00:00.123 * Ready to accept", "1:M 30 Nov 2026 20:00:00.123 # Out of memory"]
    couchdb = ["[notice] 2026-11-30 nonode@nohost up", "[error] 2026-11-30 nonode@nohost down"]
    influxdb = ["ts=2026-11-30T20:00:00Z lvl=warn msg=slow", '{"half": of an object', "[1, 2]"]
    text = docker_lines(redis, service="redis") + docker_lines(couchdb, service="couchdb")
    found = shipped(
        opensearch, new_shipper, tmp_path / "0-json.log", text + docker_lines(influxdb, service="influxdb"), 7
    )
    levels = {each["event"]: (each["service"], each["level"]) for each in found}
    assert levels == {
        redis[0]: ("redis", "info"),
        redis[1]: ("redis", "warning"),
        couchdb[0]: ("couchdb", "info"),
        couchdb[1]: ("couchdb", "error"),
        influxdb[0]: ("influxdb", "warning"),
        influxdb[1]: ("influxdb", "info"),
        influxdb[2]: ("influxdb", "info"),
    }


def test_other_projects_and_what_the_store_itself_says_are_left_out(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path
) -> None:
    text = (
        docker_lines(["of another"], project="other")
        + docker_lines(["about a line"], service="opensearch")
        + docker_lines(["about a line"], service="logs")
        + docker_lines(["", "ours"])
    )
    [found] = shipped(opensearch, new_shipper, tmp_path / "0-json.log", text, 1)
    assert found["event"] == "ours"


def test_in_kubernetes_service_and_node_are_the_container_and_the_pod(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path
) -> None:
    file = tmp_path / "pods" / "campus_broker-7d9f-x2x_0c3b" / "broker" / "0.log"
    pattern = tmp_path / "pods" / "campus_*" / "*" / "*.log"
    lines = [f"2026-11-28T09:00:00.5Z stdout F {json.dumps({'event': 'a'})}", "2026-11-28T09:00:01Z stderr F b c"]
    found = by_event(shipped(opensearch, new_shipper, file, "".join(f"{line}\n" for line in lines), 2, pattern))
    for event in ("a", "b c"):
        assert (found[event]["service"], found[event]["node"]) == ("broker", "broker-7d9f-x2x")
        assert found[event]["_index"] == "logs-2026-11-28"
    assert found["a"]["timestamp"] == "2026-11-28T09:00:00.5Z"


def test_a_time_that_is_none_is_not_the_name_of_an_index(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path
) -> None:
    lines = [json.dumps({"event": str(bad), "timestamp": bad}) for bad in (5, "x/../y", "2026-11-29 10:00", None)]
    found = shipped(opensearch, new_shipper, tmp_path / "0-json.log", docker_lines(lines), 4)
    assert {each["_index"] for each in found} == {"logs-2026-11-30"}
    assert {each["timestamp"] for each in found} == {"2026-11-30T20:00:00.123456789Z"}


@pytest.mark.parametrize("form", ["docker", "plain"])
def test_a_line_that_looks_like_a_secret_is_held_back_and_counted(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path, form: str
) -> None:
    lines = [*SECRETS.values(), *NO_SECRETS]
    text = docker_lines(lines) if form == "docker" else "".join(f"{line}\n" for line in lines)
    file = tmp_path / ("0-json.log" if form == "docker" else "broker.log")
    found = shipped(opensearch, new_shipper, file, text, 12)
    held_back = [each for each in found if each["event"] == "a line with a secret was held back"]
    assert len(held_back) == 7
    assert {(each["service"], each["level"], each["logger"]) for each in held_back} == {("broker", "error", "logs")}
    everything = json.dumps(found)
    for secret in ("Qm9uZXM", "abcdefghijklm", "0123456789abcdef0", "Y2FtcHVz", "hunter2"):
        assert secret not in everything
    assert "Bearer token is missing" in everything
    assert opensearch.count('event:"a line with a secret was held back"') == 7


def test_what_the_store_refuses_is_kept_as_text(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path
) -> None:
    file = tmp_path / "0-json.log"
    first = json.dumps({"event": "first", "timestamp": AT, "owner": {"name": "a name"}, "size": 5})
    shipped(opensearch, new_shipper, file, docker_lines([first]), 1)
    lines = [
        json.dumps({"event": "a number that is none", "timestamp": AT, "size": "large"}),
        json.dumps({"event": "a text now", "timestamp": AT, "owner": "a name"}),
        json.dumps({"event": "last", "timestamp": AT}),
    ]
    with file.open("a") as end:
        end.write(docker_lines(lines))
    wait_for(lambda: opensearch.count() >= 4, "4 documents", WAIT_SECONDS)
    found = by_event(opensearch.documents())
    assert found.keys() == {"first", "a number that is none", "a line that the store refused", "last"}
    # A wrong number stays in the document and cannot be searched; a text in the place of an object is more than that.
    assert found["a number that is none"]["size"] == "large"
    refused = found["a line that the store refused"]
    assert (refused["service"], refused["node"], refused["timestamp"]) == ("broker", "broker-1", AT)
    assert json.loads(refused["line"]) == {
        "event": "a text now",
        "timestamp": AT,
        "owner": "a name",
        "service": "broker",
        "node": "broker-1",
    }
    assert refused["status"] == 400


def test_a_long_line_arrives_whole(opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path) -> None:
    long = "é" * 6000 + "end"
    [found] = shipped(opensearch, new_shipper, tmp_path / "0-json.log", docker_lines([json.dumps({"event": long})]), 1)
    assert found["event"] == long
