"""What docs/deploy-ibm-cloud.md has people type for the secrets of IBM Cloud, typed, with keys that are made up."""

import base64
import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from api.auth.keys import Scope, key_from
from tests.conftest import missing
from tests.deploy.k8s_manifests import K8S, ROOT, documents, of_kind

PAGE = ROOT / "docs" / "deploy-ibm-cloud.md"
AUTHORITY = "-----BEGIN CERTIFICATE-----\nmade up\n-----END CERTIFICATE-----\n"
REDIS = {
    "credentials": {
        "connection": {
            "rediss": {
                "authentication": {"username": "ibm_cloud_1", "password": "made-up"},
                "certificate": {"certificate_base64": base64.b64encode(AUTHORITY.encode()).decode()},
                "composed": ["rediss://ibm_cloud_1:made-up@redis.example.org:31234/0"],
                "hosts": [{"hostname": "redis.example.org", "port": 31234}],
            }
        }
    }
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of credentials, as somebody has it who has followed the page."""
    for tool in ("jq", "openssl"):
        if shutil.which(tool) is None:
            missing(tool, f"install {tool}")
    [typed] = re.findall(r"```sh\n(# [^\n]*\numask 077.*?)```", PAGE.read_text(), re.DOTALL)
    root = tmp_path_factory.mktemp("page")
    made = root / "deploy" / "k8s" / "credentials" / "ibm-cloud"
    made.mkdir(parents=True)
    shutil.copy(K8S / "credentials" / "ibm-cloud" / "kustomization.yaml", made)
    (made / "redis.json").write_text(json.dumps(REDIS))
    (made / "cloudant.json").write_text(json.dumps({"credentials": {"apikey": "of-cloudant"}}))
    command = ["bash", "-euo", "pipefail", "-c", typed]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    (made / "tls.crt").write_text("a certificate")
    (made / "tls.key").write_text("its key")
    return made


def test_what_opens_redis_is_taken_out_of_its_key(folder: Path) -> None:
    read = {path.name: path.read_text() for path in folder.iterdir()}
    assert read["redis-address"] == "redis.example.org:31234"
    assert read["redis-username"] == "ibm_cloud_1"
    assert read["redis-password"] == "made-up"
    assert read["redis-tls"] == "enable"
    assert read["redis-ca.pem"] == AUTHORITY
    assert read["REDIS_URL"] == (
        "rediss://ibm_cloud_1:made-up@redis.example.org:31234/0?ssl_ca_certs=/etc/redis-ca/ca.pem"
    )
    assert read["CLOUDANT_APIKEY"] == "of-cloudant"


def test_what_is_made_is_what_services_take(folder: Path) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}\n", (folder / "DEVICE_KEY").read_text())
    assert key_from((folder / "api-key").read_text(), "first", [Scope.ADMIN], now=0).scopes
    with (folder / "users.csv").open() as file:
        rows = list(csv.reader(file))
    assert [row[:2] for row in rows] == [["mirror", "service"], ["smoke-test", "car"]]
    assert rows[0][2] == (folder / "MIRROR_PASSWORD").read_text().strip()


def test_all_of_it_becomes_the_secrets_and_nobody_else_can_read_it(folder: Path) -> None:
    secrets = of_kind(documents(folder), "Secret")
    assert secrets.keys() == {
        *("broker", "decoder", "api", "controller", "users", "api-key", "campus-tls", "influxdb", "keda"),
        "redis-keys",
    }
    for name in ("DEVICE_KEY", "REDIS_URL", "KEYS_REDIS_URL", "users.csv"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name
