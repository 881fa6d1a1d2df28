"""The Secrets that pods name are those that the kustomizations of credentials/ make."""

import base64
import shutil
import ssl
from pathlib import Path

import pytest

from api.auth.keys import Scope, key_from
from broker.settings import BrokerSettings
from deploy.k8s.make_secrets import main
from runtime.settings import load
from tests.deploy.k8s_manifests import K8S, OVERLAYS, Document, documents, kubectl, of_kind, overlay, workloads

COUCHDB_USER = "campus"

CREDENTIALS = K8S / "credentials"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of credentials/local, with secrets in it."""
    kubectl()
    folder = tmp_path_factory.mktemp("credentials") / "local"
    folder.mkdir()
    shutil.copy(CREDENTIALS / "local" / "kustomization.yaml", folder)
    assert main([str(folder), "campus.example.org"]) == 0
    return folder


def by_hand(folder: Path) -> list[Document]:
    """What credentials/ibm-cloud makes of files that somebody has filled."""
    shutil.copytree(CREDENTIALS / "ibm-cloud", folder, ignore=lambda _, names: {*names} - {"kustomization.yaml"})
    for name in (folder / "kustomization.yaml").read_text().split():
        path = name.split("=")[-1]
        if path[0].isalpha() and (path.isupper() or "." in path or "-" in path) and "/" not in path and ":" not in path:
            (folder / path).write_text("something")
    return documents(folder)


def keys(secret: Document) -> set[str]:
    return set(secret.get("data", {}))


def needed(found: list[Document]) -> dict[str, set[str]]:
    """The Secrets that pods and KEDA name; of those that are mounted key by key, the keys."""
    wanted: dict[str, set[str]] = {}
    for workload in workloads(found):
        for volume in workload.pod["volumes"]:
            if "secret" in volume:
                items = {item["key"] for item in volume["secret"].get("items", [])}
                wanted.setdefault(volume["secret"]["secretName"], set()).update(items)
    for authentication in of_kind(found, "TriggerAuthentication").values():
        for reference in authentication["spec"]["secretTargetRef"]:
            wanted.setdefault(reference["name"], set()).add(reference["key"])
    return wanted


def values(secret: Document) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


def test_what_is_made_for_a_local_cluster_is_what_its_pods_name(made: Path) -> None:
    secrets = of_kind(documents(made), "Secret")
    wanted = needed(overlay("local"))
    of_no_pod = {"auditor", "backup", "dead-letters", "status", "migrate", "restore"}
    assert secrets.keys() == wanted.keys() | of_no_pod | {"keda", "smoke"}
    for name, items in wanted.items():
        assert items <= keys(secrets[name]), name


@pytest.mark.parametrize("name", ["ibm-cloud", "staging"])
def test_what_is_put_together_for_ibm_cloud_is_what_its_pods_name(name: str, tmp_path: Path) -> None:
    found = by_hand(tmp_path / "cloud")
    secrets = of_kind(found, "Secret")
    wanted = needed(overlay(name))
    assert secrets.keys() == wanted.keys()
    for secret, items in wanted.items():
        assert items <= keys(secrets[secret]), secret
    assert of_kind(found, "ConfigMap").keys() == {"redis-ca"}


def test_a_service_has_its_own_secrets_alone(made: Path) -> None:
    secrets = of_kind(documents(made), "Secret")
    assert keys(secrets["broker"]) == {"REDIS_URL", "KEYS_REDIS_URL"}
    assert keys(secrets["decoder"]) == {
        *("REDIS_URL", "KEYS_REDIS_URL", "DEVICE_KEY", "CLOUDANT_USERNAME", "CLOUDANT_PASSWORD"),
        "INFLUXDB_V2_TOKEN",
    }
    assert keys(secrets["api"]) == keys(secrets["decoder"]) | {"MIRROR_PASSWORD"}


def test_a_service_reads_its_secrets_from_a_mounted_folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = made.parent / "mounted"
    # As the kubelet does it: a folder with a name of its own, and links to what is in it.
    (mounted / "..2026_11_23").mkdir(parents=True)
    (mounted / "..data").symlink_to("..2026_11_23")
    for name, value in values(of_kind(documents(made), "Secret")["broker"]).items():
        (mounted / "..2026_11_23" / name).write_text(value)
        (mounted / name).symlink_to(f"..data/{name}")
    monkeypatch.setenv("SECRETS_DIR", str(mounted))
    # Set and empty, so that what is read is taken back after the test.
    monkeypatch.setenv("REDIS_URL", "")
    monkeypatch.setenv("KEYS_REDIS_URL", "")
    assert load(BrokerSettings).redis_url.endswith("@redis:6379/0")


def test_the_secrets_agree_with_each_other(made: Path) -> None:
    secrets = {name: values(secret) for name, secret in of_kind(documents(made), "Secret").items()}
    assert f"{COUCHDB_USER} = {secrets['documents-setup']['CLOUDANT_PASSWORD']}\n" in secrets["couchdb"]["admins.ini"]
    for service, user in (("decoder", "writer"), ("api", "eraser"), ("backup", "reader")):
        assert secrets[service]["CLOUDANT_USERNAME"] == user
        made_for = secrets["documents-setup"][f"COUCHDB_{user.upper()}_PASSWORD"]
        assert secrets[service]["CLOUDANT_PASSWORD"] == made_for
    assert secrets["influxdb"]["token"] == secrets["decoder"]["INFLUXDB_V2_TOKEN"]
    assert f"mirror,service,{secrets['api']['MIRROR_PASSWORD']}\n" in secrets["users"]["users.csv"]
    assert secrets["keda"]["username"] == "keda"
    assert f"demo-car,car,{secrets['smoke']['MQTT_PASSWORD']}\n" in secrets["users"]["users.csv"]
    assert not any(f":{secrets['keda']['password']}@" in value for each in secrets.values() for value in each.values())
    assert key_from(secrets["api-key"]["api-key"], "first", [Scope.ADMIN], now=0).scopes


def test_the_certificate_is_one_that_haproxy_can_use(made: Path, tmp_path: Path) -> None:
    secret = values(of_kind(documents(made), "Secret")["campus-tls"])
    for name, value in secret.items():
        (tmp_path / name).write_text(value)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    assert "PRIVATE KEY" not in secret["tls.crt"]


def test_secrets_that_are_there_stay(made: Path) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert main([str(made), "campus.example.org"]) == 0
    assert before == {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}


def test_nobody_else_on_this_machine_can_read_them(made: Path) -> None:
    for path in made.rglob("*"):
        secret = path.is_file() and path.name not in {"kustomization.yaml", "ca.pem"}
        assert not secret or path.stat().st_mode & 0o077 == 0, path


def test_a_call_that_is_none_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 2
    assert "credentials/local" in capsys.readouterr().err


def test_a_folder_that_cannot_be_one_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file")]) == 1
    assert "could not be made" in capsys.readouterr().err


def test_no_secret_is_committed() -> None:
    ignored = (CREDENTIALS / ".gitignore").read_text().split("\n")
    assert "/*/*" in ignored
    assert "!/*/kustomization.yaml" in ignored
    assert {path.name for path in CREDENTIALS.iterdir()} >= {"local", "ibm-cloud"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_who_reads_secrets_may(name: str) -> None:
    for workload in workloads(overlay(name)):
        mounts = [volume for volume in workload.pod["volumes"] if "secret" in volume]
        for volume in mounts:
            # Of the group alone, which is that of the pod.
            assert volume["secret"]["defaultMode"] == 0o440, workload.name
            assert workload.pod["securityContext"]["fsGroup"] == workload.pod["securityContext"]["runAsGroup"]
        for container in workload.containers:
            for mount in container.get("volumeMounts", []):
                if mount["name"] in {volume["name"] for volume in mounts}:
                    assert mount["readOnly"] is True
                    # Kubernetes puts a token below /var/run/secrets, which is /run/secrets, and a Secret takes nothing.
                    has_token = workload.pod["automountServiceAccountToken"] and container["name"] == "controller"
                    told = {each["name"]: each.get("value") for each in container.get("env", [])}
                    assert mount["mountPath"] == ("/run/campus" if has_token else "/run/secrets")
                    assert told.get("SECRETS_DIR", "/run/secrets") == mount["mountPath"]
