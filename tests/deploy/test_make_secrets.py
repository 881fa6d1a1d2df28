"""The secrets of a compose run: made once, each for one service."""

import csv
import json
import os
import stat
from pathlib import Path

import pytest

from api.auth.keys import Scope, key_from
from deploy.compose import make_secrets, welcome
from tests.conftest import NOON, missing

GIVEN = dict[str, tuple[int, int]]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> GIVEN:
    """To whom each file was given; nothing is really given away, so that the test needs no root."""
    owners: GIVEN = {}
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: owners.update({str(path): (uid, gid)}))
    monkeypatch.setattr(make_secrets, "_CERTIFICATE", "true")
    return owners


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_what_was_made_stays_as_it_is(tmp_path: Path, given: GIVEN) -> None:
    make_secrets.make(tmp_path, [], demo=True)
    first = contents(tmp_path)
    make_secrets.make(tmp_path, [], demo=True)
    assert contents(tmp_path) == first
    assert given


def test_two_installations_have_nothing_in_common(tmp_path: Path, given: GIVEN) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        make_secrets.make(tmp_path / name, [], demo=True)
    one, other = (json.loads((tmp_path / name / "values.json").read_text()) for name in ("one", "other"))
    assert set(one) == set(other) == set(make_secrets.made(make_secrets.demo_roles(make_secrets.KINDS)))
    assert not set(one.values()) & set(other.values())
    assert given


def test_a_value_that_is_taken_out_is_made_anew_and_the_others_stay(tmp_path: Path, given: GIVEN) -> None:
    make_secrets.make(tmp_path, [], demo=True)
    path = tmp_path / "values.json"
    before = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({name: value for name, value in before.items() if name != "redis_broker_password"}))
    make_secrets.make(tmp_path, [], demo=True)
    after = json.loads(path.read_text())
    assert {name for name in before if before[name] != after[name]} == {"redis_broker_password"}
    assert after["redis_broker_password"] in (tmp_path / "broker" / "REDIS_URL").read_text()
    assert given


@pytest.mark.parametrize(
    ("privacy", "user"), [("", "api-open"), ("open", "api-open"), ("protected", "api"), ("strict", "api")]
)
def test_the_api_may_read_who_is_where_only_where_counts_are_told_as_they_are(
    tmp_path: Path, given: GIVEN, privacy: str, user: str
) -> None:
    make_secrets.make(tmp_path, [], demo=True, privacy=privacy)
    for service in ("api", "api-next"):
        assert (tmp_path / service / "REDIS_URL").read_text().startswith(f"redis://{user}:")
    assert given


def test_a_redis_for_raw_is_named_as_long_as_there_is_one(tmp_path: Path, given: GIVEN) -> None:
    where = tmp_path / "decoder" / "RAW_REDIS_URL"
    make_secrets.make(tmp_path, [], demo=True, raw_redis_at="redis://redis-raw:6379/0")
    password = json.loads((tmp_path / "values.json").read_text())["redis_decoder_password"]
    assert where.read_text() == f"redis://decoder:{password}@redis-raw:6379/0"
    make_secrets.make(tmp_path, [], demo=True)
    assert not where.exists()
    assert given


def test_the_redis_of_keys_lets_in_who_uses_keys_and_nobody_who_copies(tmp_path: Path, given: GIVEN) -> None:
    make_secrets.make(tmp_path, [], demo=True)
    lines = (tmp_path / "redis-keys" / "users.acl").read_text().splitlines()
    users = ["default", "broker", "decoder", "api", "dead-letters", "migrate", "health"]
    assert [line.split()[1] for line in lines] == users
    value = json.loads((tmp_path / "values.json").read_text())
    told = {path.parent.name: path.read_text() for path in tmp_path.glob("*/KEYS_REDIS_URL")}
    services = {"broker": "broker", "broker-next": "broker", "decoder": "decoder", "api": "api", "api-next": "api"}
    assert told == {
        service: f"redis://{user}:{value[make_secrets.redis_value(user)]}@redis-keys:6379/0"
        for service, user in (services | {"dead-letters": "dead-letters", "restore": "migrate"}).items()
    }
    assert given[str(tmp_path / "redis-keys" / "users.acl")] == (999, 999)


def test_the_one_user_of_earlier_versions_stays_where_there_was_one(tmp_path: Path, given: GIVEN) -> None:
    make_secrets.make(tmp_path, [], demo=True)
    assert "user campus " not in (tmp_path / "redis" / "users.acl").read_text()
    path = tmp_path / "values.json"
    values = json.loads(path.read_text()) | {"redis_password": "of-an-earlier-version"}
    path.unlink()
    path.write_text(json.dumps(values))
    make_secrets.make(tmp_path, [], demo=True)
    lines = (tmp_path / "redis" / "users.acl").read_text().splitlines()
    assert lines[-1].startswith("user campus on #")
    assert set(json.loads(path.read_text()).values()) >= {"of-an-earlier-version"}
    assert not [each for each in contents(tmp_path).items() if "of-an-earlier" in each[1] and each[0] != "values.json"]
    assert given


def test_a_token_of_influxdb_that_was_made_for_a_service_stays(tmp_path: Path, given: GIVEN) -> None:
    make_secrets.make(tmp_path, [], demo=True)
    own = tmp_path / "api" / "INFLUXDB_V2_TOKEN"
    assert not own.exists()
    own.write_text("of who reads")
    make_secrets.make(tmp_path, [], demo=True)
    assert own.read_text() == "of who reads"
    assert given


def test_each_service_logs_in_to_couchdb_as_who_may_do_what_it_does(tmp_path: Path, given: GIVEN) -> None:
    make_secrets.make(tmp_path, [], demo=True)
    users = {path.parent.name: path.read_text() for path in tmp_path.glob("*/CLOUDANT_USERNAME")}
    assert users == {
        **dict.fromkeys(("decoder", "demo-history"), "writer"),
        **dict.fromkeys(("analytics", "backup", "demo-judge"), "reader"),
        **dict.fromkeys(("api", "api-next"), "eraser"),
        **dict.fromkeys(("documents-setup", "restore"), "campus"),
    }
    value = json.loads((tmp_path / "values.json").read_text())
    for service, user in users.items():
        password = value["couchdb_password" if user == "campus" else f"couchdb_{user}_password"]
        assert (tmp_path / service / "CLOUDANT_PASSWORD").read_text() == password, service
    assert given


def test_users_are_those_that_the_version_of_redis_knows(
    tmp_path: Path, given: GIVEN, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_VERSION", "6.2")
    assert make_secrets.main([str(tmp_path)]) == 0
    assert "(" not in (tmp_path / "redis" / "users.acl").read_text()
    monkeypatch.setenv("REDIS_VERSION", "5")
    assert make_secrets.main([str(tmp_path)]) == 1
    assert "'5' is no version of Redis from 6.2 on" in capsys.readouterr().err
    assert given


def test_each_file_is_for_one_user_alone(tmp_path: Path, given: GIVEN) -> None:
    make_secrets.make(tmp_path, [], demo=True)
    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert given[str(tmp_path / "redis" / "users.acl")] == (999, 999)
    assert given[str(tmp_path / "broker" / "REDIS_URL")] == (10001, 10001)
    assert given[str(tmp_path / "couchdb" / "password")] == (5984, 5984)
    assert given[str(tmp_path / "people" / "api-key")] == (os.getuid(), os.getgid())


def test_what_a_service_was_given_once_is_taken_from_it(tmp_path: Path, given: GIVEN) -> None:
    make_secrets.make(tmp_path, [], demo=True)
    old = tmp_path / "node-red" / "COUCHDB_PASSWORD"
    old.write_text("of the administrator")
    make_secrets.make(tmp_path, [], demo=True)
    assert not old.exists()
    assert (tmp_path / "node-red" / "API_KEY").exists()
    assert (tmp_path / "people" / "ca.pem").exists() == (tmp_path / "haproxy" / "ca.pem").exists()
    assert given


def test_what_an_operator_has_put_there_stays(tmp_path: Path, given: GIVEN) -> None:
    make_secrets.make(tmp_path, [], demo=True)
    own = tmp_path / "decoder" / "CLOUDANT_APIKEY"
    own.write_text("of the operator")
    (tmp_path / "api" / "more").mkdir()
    make_secrets.make(tmp_path, [], demo=True)
    assert own.read_text() == "of the operator"
    assert (tmp_path / "api" / "more").is_dir()
    assert given


def test_only_who_needs_a_secret_has_it(tmp_path: Path, given: GIVEN) -> None:
    make_secrets.make(tmp_path, [], demo=True)
    value = json.loads((tmp_path / "values.json").read_text())

    def holders(name: str) -> set[str]:
        found = contents(tmp_path)
        return {path.split("/")[0] for path, text in found.items() if value[name] in text} - {"values.json"}

    assert holders("device_key") == {"decoder", "api", "api-next", "demo-history", "restore"}
    assert holders("mirror_password") == {"users", "api", "api-next"}
    assert holders("api_key") == {"api-key", "people"}
    # Administrators: who makes what is missing, and who restores by hand.
    assert holders("couchdb_password") == {"couchdb", "documents-setup", "restore"}
    assert holders("influxdb_token") == {"influxdb", "timeseries-tokens", "restore"}
    assert holders("backup_key") == {"backup", "restore"}
    assert holders("redis_migrate_password") == {"migrate", "restore"}
    assert holders("node_red_api_key") == {"node-red", "node-red-key"}
    assert holders("grafana_password") == {"grafana", "people"}
    # Redis itself is told a hash.
    assert holders("redis_broker_password") == {"broker", "broker-next"}
    assert holders("redis_decoder_password") == {"decoder", "demo-judge", "exporter"}
    assert holders("redis_api_password") == {"api", "api-next"}
    assert holders("redis_users_command_password") == {"users"}
    assert holders("redis_keys_command_password") == {"api-key", "node-red-key"}
    for service in ("auditor", "autoscaler", "controller", "status", "dead-letters", "backup"):
        assert holders(f"redis_{service.replace('-', '_')}_password") == {service}
    assert holders("redis_exporter_password") == {"redis-exporter"}
    assert holders("redis_keda_password") == set()
    assert given


def test_what_is_made_is_what_the_services_take(tmp_path: Path, given: GIVEN) -> None:
    make_secrets.make(tmp_path, [], demo=True)
    assert key_from((tmp_path / "api-key" / "api-key").read_text(), "x", [Scope.ADMIN], now=NOON)
    assert len(bytes.fromhex((tmp_path / "decoder" / "DEVICE_KEY").read_text())) == 32
    with (tmp_path / "users" / "users.csv").open(newline="") as file:
        users = {name: role for name, role, _ in csv.reader(file)}
    assert users == {
        "mirror": "service",
        **{f"demo-{role}": role for role in ("car", "mobile", "gateway", "service", "app")},
    }
    assert given


def test_without_demo_users_there_is_none(tmp_path: Path, given: GIVEN) -> None:
    make_secrets.make(tmp_path, [], demo=False)
    assert "demo" not in (tmp_path / "users" / "users.csv").read_text()
    assert (tmp_path / "people" / "demo-users.csv").read_text() == ""
    assert given


def test_the_certificate_is_for_the_names_given(tmp_path: Path) -> None:
    if os.geteuid():
        missing("root", "files are given to other users: sudo")
    make_secrets.make(tmp_path, ["campus.example.org"], demo=True)
    server = tmp_path / "haproxy" / "server.pem"
    assert (server.stat().st_uid, stat.S_IMODE(server.stat().st_mode) & 0o077) == (99, 0)
    assert (tmp_path / "people" / "ca.pem").read_text() == (tmp_path / "haproxy" / "ca.pem").read_text()


def test_a_wrong_call_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert make_secrets.main(["--help"]) == 2
    assert "FOLDER" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert make_secrets.main([str(tmp_path / "absent")]) == 1
    assert "absent" in capsys.readouterr().err


def test_passwords_are_told_at_the_first_start_alone(tmp_path: Path, given: GIVEN) -> None:
    make_secrets.make(tmp_path, [], demo=True)
    people = tmp_path / "people"
    key = (people / "api-key").read_text()
    first = welcome.welcome(people, {"HTTP_PORT": "9080"}, show=True)
    assert "http://localhost:9080/" in first
    assert key in first
    assert "demo-gateway" in first
    # Where it is no terminal it is a log, and that lasts.
    kept = welcome.welcome(people, {}, show=False)
    assert key.strip() not in kept
    assert "an API key of an administrator, in ./secrets/people" in kept
    with (people / "demo-users.csv").open(newline="") as file:
        assert not [row[0] for row in csv.reader(file) if row[2] in kept]
    (people / welcome.FIRST_START).unlink()
    make_secrets.make(tmp_path, [], demo=True)
    later = welcome.welcome(people, {}, show=True)
    assert key not in later
    assert "./secrets/people" in later
    assert given


def test_each_kind_of_the_table_has_a_demo_user(tmp_path: Path, given: GIVEN) -> None:
    table = json.loads(make_secrets.KINDS.read_text())
    table["kinds"].append({"id": "bicycle"})
    kinds = tmp_path / "kinds.json"
    kinds.write_text(json.dumps(table))
    (tmp_path / "secrets").mkdir()
    make_secrets.make(tmp_path / "secrets", [], demo=True, kinds=kinds)
    with (tmp_path / "secrets" / "people" / "demo-users.csv").open(newline="") as file:
        assert [row[1] for row in csv.reader(file)] == ["car", "mobile", "bicycle", "gateway", "service", "app"]
    assert given


@pytest.mark.parametrize("text", ["", "[]", '{"kinds": 7}', '{"kinds": [{"topic": "x"}]}'])
def test_a_table_of_kinds_that_is_none_makes_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "kinds.json").write_text(text)
    (tmp_path / "secrets").mkdir()
    monkeypatch.setenv("KINDS_FILE", str(tmp_path / "kinds.json"))
    assert make_secrets.main([str(tmp_path / "secrets")]) == 1
    assert f"KINDS_FILE: {tmp_path / 'kinds.json'} is no table of kinds" in capsys.readouterr().err
    assert not list((tmp_path / "secrets").iterdir())
