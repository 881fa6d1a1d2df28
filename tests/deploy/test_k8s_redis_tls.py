"""A Redis that speaks TLS, as Databases for Redis does: REDIS_URL names the file of its certificate's authority."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from core.errors import UnavailableError
from runtime.settings import CommonSettings
from state.calls import redis_errors
from state.client import open_redis
from tests.conftest import free_port, missing
from tests.deploy.conftest import wait_until
from tests.deploy.k8s_manifests import K8S, ROOT, of_kind, overlay, workloads


@dataclass(frozen=True, slots=True)
class Encrypted:
    url: str
    authority: Path


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    server = shutil.which("redis-server") or missing("redis-server with TLS", "install Debian's redis-server")
    folder = tmp_path_factory.mktemp("redis")
    subprocess.run([ROOT / "haproxy" / "certificate", folder], check=True, stdout=subprocess.DEVNULL)
    pem, authority, port = folder / "server.pem", folder / "ca.pem", free_port()
    files = ["--tls-cert-file", str(pem), "--tls-key-file", str(pem), "--tls-ca-cert-file", str(authority)]
    process = subprocess.Popen(
        [
            server,
            "--port",
            "0",
            "--tls-port",
            str(port),
            *files,
            "--tls-auth-clients",
            "no",
            "--requirepass",
            "a-password",
        ],
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    url = f"rediss://default:a-password@localhost:{port}/0"

    def answers() -> bool:
        if process.poll() is not None:
            missing("redis-server with TLS", "that of Debian has it")
        try:
            with redis.Redis.from_url(f"{url}?ssl_ca_certs={authority}") as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    try:
        wait_until(answers)
        yield Encrypted(url, authority)
    finally:
        process.terminate()
        process.wait(15)


async def test_redis_is_reached_over_tls_with_the_authority_from_a_file(encrypted: Encrypted) -> None:
    settings = CommonSettings(redis_url=f"{encrypted.url}?ssl_ca_certs={encrypted.authority}")
    async with open_redis(settings) as client:
        assert await client.ping()


async def test_a_certificate_of_an_authority_that_nobody_named_is_refused(encrypted: Encrypted) -> None:
    async with open_redis(CommonSettings(redis_url=encrypted.url)) as client:
        with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"), redis_errors():
            await client.ping()


def test_whoever_asks_redis_on_ibm_cloud_has_the_authority_where_the_page_says() -> None:
    said = (K8S.parents[1] / "docs" / "deploy-ibm-cloud.md").read_text()
    found = overlay("ibm-cloud")
    (allowed,) = of_kind(found, "NetworkPolicy")["to-redis"]["spec"]["podSelector"]["matchExpressions"]
    for workload in workloads(found):
        asks = next((each for each in workload.containers if each["name"] == "apply"), workload.main)
        mounts = {mount["name"]: mount["mountPath"] for mount in asks["volumeMounts"]}
        assert ("redis-ca" in mounts) == (workload.name in allowed["values"]), workload.name
        if "redis-ca" in mounts:
            assert f"ssl_ca_certs={mounts['redis-ca']}/ca.pem" in said
