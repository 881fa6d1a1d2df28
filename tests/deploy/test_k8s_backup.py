"""The component `backup`: CronJobs that a restricted namespace takes, and that name what there is."""

from pathlib import Path

import pytest

from backup.manifest import What
from backup.settings import BackupSettings
from tests.deploy.k8s_manifests import Document, documents, kustomization, of_kind, selects
from tests.deploy.test_k8s_schemas import VERSIONS, validate


@pytest.fixture
def found(tmp_path: Path) -> list[Document]:
    return documents(
        kustomization(
            tmp_path / "with", namespace="campus", resources=["overlays/local"], components=["components/backup"]
        )
    )


def jobs(found: list[Document]) -> dict[str, Document]:
    return of_kind(found, "CronJob")


def test_there_is_a_job_for_each_thing_and_redis_is_saved_before_the_others(found: list[Document]) -> None:
    made = jobs(found)
    assert set(made) == {f"backup-{what}" for what in What}
    assert {name: job["spec"]["schedule"] for name, job in made.items()} == {
        "backup-redis": "5 * * * *",
        "backup-documents": "20 2 * * *",
        "backup-series": "40 2 * * *",
    }
    for name, job in made.items():
        assert job["spec"]["concurrencyPolicy"] == "Forbid"
        [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert container["args"] == ["save", name.removeprefix("backup-")]


def test_its_documents_are_valid_and_restricted(found: list[Document]) -> None:
    for job in jobs(found).values():
        for version in VERSIONS:
            validate(job, version)
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_its_settings_are_settings_and_none_of_them_is_a_secret(found: list[Document]) -> None:
    [config] = [each for name, each in of_kind(found, "ConfigMap").items() if name.startswith("backup")]
    assert {name.lower() for name in config["data"]} <= set(BackupSettings.model_fields)
    assert set(config["data"]) == {"BACKUP_URL", "S3_ENDPOINT", "S3_REGION", "BACKUP_KEEP_DAYS"}


def test_it_reaches_the_stores_and_object_storage_and_nobody_reaches_it(found: list[Document]) -> None:
    policies = of_kind(found, "NetworkPolicy")
    own = policies["backup"]["spec"]
    assert own["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in own
    reached = {port["port"] for rule in own["egress"] for port in rule["ports"]}
    assert reached == {6379, 5984, 8086, 443}
    taken = policies["backup-to-stores"]["spec"]
    stores = taken["podSelector"]["matchExpressions"][0]["values"]
    assert stores == ["redis", "redis-keys", "couchdb", "influxdb"]
    named = [rule["to"][0].get("podSelector") for rule in own["egress"]]
    assert [
        name for name in stores if any(each and selects(each, {"app.kubernetes.io/name": name}) for each in named)
    ] == stores
