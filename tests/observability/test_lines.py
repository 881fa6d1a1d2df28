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
AT = "2026-11-30T10:00:00.123456Z"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
SHOWN = ("event", "password", "influxdb_v2_token", "path")
SECRETS = {
    "the key ck_0123456789abcdef_Qm9uZXMtYW5kLXN0b25lcw was used": "the key ck_0123456789abcdef_[redacted] was used",
    "Authorization: Bearer abcdefghijklmnopqrstuvwxyz": "Authorization: Bearer [redacted]",
    "Token 0123456789abcdef0123456789abcdef": "Token [redacted]",
    "authorization: Basic Y2FtcHVzOnBhc3N3b3JkMTIz": "authorization: Basic [redacted]",
    "AUTHORIZATION: BASIC Y2FtcHVzOnBhc3N3b3JkMTIz": "AUTHORIZATION: BASIC [redacted]",
    "redis://broker:hunter2hunter2@redis:6379/0 is away": "redis://broker:[redacted]@redis:6379/0 is away",
    "redis://broker:pa/hunter2@redis:6379 is away": "redis://broker:[redacted]@redis:6379 is away",
    json.dumps({"event": "login", "password": 'hunter2"hunter2'}): '{"event": "login", "password": "[redacted]"}',
    json.dumps({"event": "a", "influxdb_v2_token": "hunter2"}): '{"event": "a", "influxdb_v2_token": "[redacted]"}',
    "token abcdefghijklmnopq, then TOKEN abcdefghijklmnopqr": "token [redacted], then TOKEN [redacted]",
}
"""Lines, and what is left of each."""
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
    says_all = {"event": "a", "timestamp": AT, "service": "api", "level": "warning", "seconds": 0.25}
    says_less = {"event": "b", "level": "info"}
    text = docker_lines([json.dumps(says_all), json.dumps(says_less)], service="api", number=2)
    found = by_event(shipped(opensearch, new_shipper, tmp_path / "0123-json.log", text, 2))
    assert {key: found["a"][key] for key in says_all} == says_all
    assert (found["b"]["service"], found["b"]["node"]) == ("api", "api-2")
    assert found["b"]["timestamp"] == "2026-11-30T20:00:00.123456789Z"
    assert {each["_index"] for each in found.values()} == {"logs-2026-11-30"}
    assert not {"own_service", "own_node", "masked"} & (found["a"].keys() | found["b"].keys())


@pytest.mark.parametrize("form", ["docker", "kubernetes"])
def test_whose_a_line_is_and_of_which_day_is_said_by_who_has_collected_it(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path, form: str
) -> None:
    # An application that would rather be a broker, of a year that nobody removes.
    line = {"event": "a", "service": "broker", "node": "3f2a", "own_node": "b", "timestamp": "2099-01-01T00:00:00Z"}
    if form == "docker":
        file, files = tmp_path / "0-json.log", None
        text = docker_lines([json.dumps(line)], service="update-schuman-1", number=3)
    else:
        file = tmp_path / "pods" / "campus_update-schuman-1-3_0c3b" / "update-schuman-1" / "0.log"
        files = tmp_path / "pods" / "campus_*" / "*" / "*.lo*[g0-9]"
        text = f"2026-11-30T20:00:00.123456789Z stdout F {json.dumps(line)}\n"
    [found] = shipped(opensearch, new_shipper, file, text, 1, files)
    assert (found["service"], found["node"]) == ("update-schuman-1", "update-schuman-1-3")
    assert (found["own_service"], found["own_node"]) == ("broker", "3f2a")
    assert (found["_index"], found["timestamp"]) == ("logs-2026-11-30", "2026-11-30T20:00:00.123456789Z")


def test_in_a_file_of_nobody_in_particular_the_line_says_it_itself(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path
) -> None:
    line = {"event": "a", "service": "broker", "node": "broker-1", "timestamp": "2026-11-28T10:00:00Z"}
    [found] = shipped(opensearch, new_shipper, tmp_path / "laptop.log", f"{json.dumps(line)}\n", 1)
    assert {key: found[key] for key in line} == line
    assert found["_index"] == "logs-2026-11-28"


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


def test_a_line_for_people_has_what_the_saved_searches_ask_for(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path
) -> None:
    lines = (
        "[warning] refused [broker] detail='no such user, or so' held_back=0 reason=refused_connect user=ann",
        "[info] joined the cluster [broker.cluster] life=3f2a",
        "[error] a stage has failed, and is started again [stages]",
        "[info] not [one] of ours [broker] b",
    )
    found = by_event(shipped(opensearch, new_shipper, tmp_path / "0-json.log", docker_lines(lines), 4))
    told = {event: (each["level"], each.get("logger"), each.get("line")) for event, each in found.items()}
    assert told == {
        "refused": ("warning", "broker", lines[0]),
        "joined the cluster": ("info", "broker.cluster", lines[1]),
        "a stage has failed, and is started again": ("error", "stages", lines[2]),
        lines[3]: ("info", None, None),
    }
    assert opensearch.count("event:refused AND reason:refused_connect") == 1


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
    pattern = tmp_path / "pods" / "campus_*" / "*" / "*.lo*[g0-9]"
    lines = [f"2026-11-28T09:00:00.5Z stdout F {json.dumps({'event': 'a'})}", "2026-11-28T09:00:01Z stderr F b c"]
    # As the kubelet leaves them that it has put aside: the newest of them is not compressed.
    aside = file.with_name("0.log.20261128-085500")
    aside.parent.mkdir(parents=True)
    aside.write_text("2026-11-28T08:55:00Z stdout F before\n")
    file.with_name("0.log.20261128-080000.gz").write_text("2026-11-28T08:00:00Z stdout F no text\n")
    found = by_event(shipped(opensearch, new_shipper, file, "".join(f"{line}\n" for line in lines), 3, pattern))
    for event in ("a", "b c", "before"):
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
def test_what_looks_like_a_secret_is_taken_out_of_its_line_and_the_rest_stays(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path, form: str
) -> None:
    lines = [*SECRETS, *NO_SECRETS]
    text = docker_lines(lines) if form == "docker" else "".join(f"{line}\n" for line in lines)
    file = tmp_path / ("0-json.log" if form == "docker" else "broker.log")
    found = shipped(opensearch, new_shipper, file, text, len(lines))
    everything = json.dumps(found)
    for secret in ("Qm9uZXM", "abcdefghijklm", "0123456789abcdef0", "Y2FtcHVz", "hunter2"):
        assert secret not in everything
    masked = [each for each in found if "masked" in each]
    told = {json.dumps({key: each[key] for key in each if key in SHOWN}) for each in masked}
    wanted = {left if left.startswith("{") else json.dumps({"event": left}) for left in SECRETS.values()}
    assert told == wanted
    assert {each["event"] for each in found} >= {line for line in NO_SECRETS if not line.startswith("{")}
    assert {each["service"] for each in found} == {"broker"}
    assert opensearch.count("masked:[1 TO *]") == len(SECRETS)


def test_a_client_that_puts_tokens_into_a_path_is_still_told_of_with_all_else(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path
) -> None:
    path = "/v1/positions token aaaaaaaaaaaaaaaa"
    # As many different ones as there is room for in what HAProxy keeps of a path.
    full = ("/" + "".join(f"://:{letter}@" for letter in LETTERS))[:256]
    line = {"event": "request", "address": "192.0.2.1", "status": 401, "request": "r1", "path": path}
    found = shipped(
        opensearch,
        new_shipper,
        tmp_path / "0-json.log",
        docker_lines([json.dumps(line), json.dumps({**line, "request": "r2", "path": full})], service="haproxy"),
        2,
    )
    by_request = {each["request"]: each for each in found}
    assert by_request["r1"]["path"] == "/v1/positions token [redacted]"
    assert by_request["r2"]["path"].count("[redacted]@") == 42
    for each in found:
        assert (each["event"], each["address"], each["status"]) == ("request", "192.0.2.1", 401)
    assert opensearch.count("address:192.0.2.1 AND status:401") == 2


def test_of_a_line_with_more_secrets_than_anybody_can_ask_for_who_and_when_is_left(
    opensearch: OpenSearchServer, new_shipper: NewShipper, tmp_path: Path
) -> None:
    many = " ".join(f"token {number:016}" for number in range(100))
    [found] = shipped(
        opensearch, new_shipper, tmp_path / "0-json.log", docker_lines([json.dumps({"event": many})], service="api"), 1
    )
    assert found["event"] == "a line with many secrets was held back"
    assert (found["service"], found["level"]) == ("api", "error")
    assert found["timestamp"] == "2026-11-30T20:00:00.123456789Z"
    assert "0000000000000" not in json.dumps({key: found[key] for key in found if not key.startswith("_")})


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
