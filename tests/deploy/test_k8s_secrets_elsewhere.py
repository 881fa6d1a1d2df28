"""The components `cert-manager` and `external-secrets`: they make the Secrets that files make otherwise."""

from pathlib import Path

import pytest
import yaml
from jsonschema.exceptions import ValidationError

from tests.deploy.k8s_kinds import ibm_cloud_with, validate
from tests.deploy.k8s_manifests import K8S, Document, of_kind, workloads


@pytest.fixture
def fetched(tmp_path: Path) -> list[Document]:
    return ibm_cloud_with(tmp_path, "external-secrets")


@pytest.fixture
def certified(tmp_path: Path) -> list[Document]:
    return ibm_cloud_with(tmp_path, "cert-manager")


def from_files() -> dict[str, dict[str, str]]:
    """By name of a Secret and of a key in it, the file that has it."""
    made = yaml.safe_load((K8S / "credentials" / "ibm-cloud" / "kustomization.yaml").read_text())
    return {
        each["name"]: {entry.partition("=")[0]: entry.rpartition("=")[2] for entry in each["files"]}
        for each in made["secretGenerator"]
    }


def test_their_documents_have_fields_that_their_kinds_have(tmp_path: Path) -> None:
    for document in ibm_cloud_with(tmp_path, "external-secrets", "cert-manager"):
        validate(document)


def test_a_field_that_they_do_not_know_is_noticed(fetched: list[Document]) -> None:
    secret = of_kind(fetched, "ExternalSecret")["broker"]
    secret["spec"]["data"][0]["remoteRef"]["name"] = "REDIS_URL"
    with pytest.raises(ValidationError):
        validate(secret)


def test_each_secret_has_what_files_would_give_it(fetched: list[Document]) -> None:
    made = {
        each["spec"]["target"]["name"]: {
            entry["secretKey"]: entry["remoteRef"]["key"].removeprefix("campus/arbitrary/")
            for entry in each["spec"]["data"]
        }
        for each in of_kind(fetched, "ExternalSecret").values()
    }
    files = from_files()
    # It is cert-manager's, or yours.
    del files["campus-tls"]
    assert made == files
    assert made["keda"].keys() == {"address", "username", "password", "tls", "ca"}


def test_they_are_fetched_from_a_store_that_there_is(fetched: list[Document]) -> None:
    assert of_kind(fetched, "SecretStore").keys() == {"campus"}
    for each in of_kind(fetched, "ExternalSecret").values():
        assert each["spec"]["secretStoreRef"] == {"kind": "SecretStore", "name": "campus"}


def test_no_value_is_written_down(fetched: list[Document]) -> None:
    assert of_kind(fetched, "Secret") == {}


def test_the_certificate_is_where_haproxy_and_the_ingress_look_for_it(certified: list[Document]) -> None:
    [certificate] = of_kind(certified, "Certificate").values()
    assert certificate["spec"]["secretName"] == "campus-tls"
    assert certificate["spec"]["dnsNames"] == ["campus.example.org", "mqtt.campus.example.org"]
    for ingress in of_kind(certified, "Ingress").values():
        assert [each["secretName"] for each in ingress["spec"]["tls"]] == ["campus-tls"]
    [haproxy] = [each for each in workloads(certified) if each.name == "haproxy"]
    named = {volume["secret"]["secretName"] for volume in haproxy.pod["volumes"] if "secret" in volume}
    assert "campus-tls" in named
    assert haproxy.document["metadata"]["annotations"] == {"secret.reloader.stakater.com/reload": "campus-tls"}


def test_its_issuer_is_there_and_answers_by_dns(certified: list[Document]) -> None:
    [issuer] = of_kind(certified, "Issuer").values()
    [certificate] = of_kind(certified, "Certificate").values()
    assert certificate["spec"]["issuerRef"] == {"kind": "Issuer", "name": issuer["metadata"]["name"]}
    assert [list(solver) for solver in issuer["spec"]["acme"]["solvers"]] == [["dns01"]]
    assert certificate["spec"]["renewBefore"] == "720h", "more than the two weeks before which the alert is silent"
