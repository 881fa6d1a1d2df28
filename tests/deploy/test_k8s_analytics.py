"""The component `analytics`: an exporter and the jobs, in a restricted namespace, with one lake."""

from pathlib import Path

import pytest

from analytics.settings import AnalyticsSettings
from decoder.settings import DecoderSettings
from tests.deploy.k8s_manifests import OVERLAYS, Document, documents, kustomization, of_kind
from tests.deploy.test_k8s_schemas import VERSIONS, validate


def with_analytics(folder: Path, overlay: str = "local") -> list[Document]:
    return documents(
        kustomization(
            folder / "with", namespace="campus", resources=[f"overlays/{overlay}"], components=["components/analytics"]
        )
    )


def pod(found: list[Document], name: str) -> Document:
    spec: Document = of_kind(found, "Deployment")[name]["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_its_documents_are_valid_and_its_pods_restricted(tmp_path: Path, overlay: str) -> None:
    found = with_analytics(tmp_path, overlay)
    for document in found:
        validate(document, VERSIONS[-1])
    for name in ("exporter", "analytics"):
        spec = pod(found, name)
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        [container] = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_every_decoder_is_told_what_is_exported_and_both_where_the_lake_is(tmp_path: Path) -> None:
    found = with_analytics(tmp_path)
    configs = of_kind(found, "ConfigMap")
    [settings] = [name for name in configs if name.startswith("settings-")]
    [lake] = [name for name in configs if name.startswith("lake-")]
    assert configs[settings]["data"]["EXPORT"] == "parquet"
    assert set(configs[lake]["data"]) == {"LAKE_URL", "S3_ENDPOINT", "S3_REGION"}
    for fields in (DecoderSettings.model_fields, AnalyticsSettings.model_fields):
        assert {name.lower() for name in configs[lake]["data"]} <= set(fields)
    reads = {
        name: {each["configMapRef"]["name"] for each in pod(found, name)["containers"][0]["envFrom"]}
        for name in ("decoder", "exporter", "analytics")
    }
    assert {name for name, read in reads.items() if settings in read} == {"decoder", "exporter", "analytics"}
    assert {name for name, read in reads.items() if lake in read} == {"exporter", "analytics"}
    [exporter] = pod(found, "exporter")["containers"]
    assert exporter["command"] == ["python", "-m", "decoder"]
    assert exporter["env"] == [{"name": "STAGES", "value": "export"}]
    assert exporter["image"] == pod(found, "analytics")["containers"][0]["image"] == "campus/analytics:dev"


def test_the_exporter_reaches_redis_and_the_jobs_the_stores_and_nobody_reaches_them(tmp_path: Path) -> None:
    policies = of_kind(with_analytics(tmp_path), "NetworkPolicy")
    reached = {
        name: {port["port"] for rule in policies[name]["spec"]["egress"] for port in rule["ports"]}
        for name in ("exporter", "analytics")
    }
    assert reached == {"exporter": {6379, 443, 9092, 9093}, "analytics": {5984, 8086, 443}}
    assert all("ingress" not in policies[name]["spec"] for name in reached)
    for policy, who in (("exporter-to-redis", "exporter"), ("analytics-to-stores", "analytics")):
        [rule] = policies[policy]["spec"]["ingress"]
        assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": who}}}]
