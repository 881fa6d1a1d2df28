"""The components `gateway` and `gateway-mqtts`: the same doors as Ingress and load balancer, by the Gateway API."""

from pathlib import Path

import pytest
from jsonschema.exceptions import ValidationError

from tests.deploy.k8s_kinds import ibm_cloud_with, validate
from tests.deploy.k8s_manifests import Document, environment, of_kind, overlay, workloads

HTTP_HOST = "campus.example.org"
Door = tuple[str, str, str, int]
"""Path, how it is compared, Service, port."""


@pytest.fixture
def http(tmp_path: Path) -> list[Document]:
    return ibm_cloud_with(tmp_path, "gateway")


@pytest.fixture
def mqtts(tmp_path: Path) -> list[Document]:
    return ibm_cloud_with(tmp_path, "gateway-mqtts")


def ports(found: list[Document]) -> dict[tuple[str, str | int], int]:
    """The ports of each Service, by name and by number."""
    return {
        (name, key): port["port"]
        for name, service in of_kind(found, "Service").items()
        for port in service["spec"]["ports"]
        for key in (port["name"], port["port"])
    }


def doors_of_ingress(found: list[Document]) -> set[Door]:
    known = ports(found)
    return {
        (
            path["path"],
            {"Prefix": "PathPrefix"}.get(path["pathType"], path["pathType"]),
            path["backend"]["service"]["name"],
            known[path["backend"]["service"]["name"], path["backend"]["service"]["port"]["name"]],
        )
        for ingress in of_kind(found, "Ingress").values()
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    }


def doors_of_gateway(found: list[Document]) -> set[Door]:
    known = ports(found)
    return {
        (match["path"]["value"], match["path"]["type"], backend["name"], known[backend["name"], backend["port"]])
        for route in of_kind(found, "HTTPRoute").values()
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
        for backend in rule["backendRefs"]
    }


def test_their_documents_have_fields_that_their_kinds_have(tmp_path: Path) -> None:
    found = ibm_cloud_with(tmp_path, "gateway", "gateway-mqtts")
    assert of_kind(found, "Gateway").keys() == {"campus", "campus-mqtts"}
    for document in found:
        validate(document)


def test_a_field_that_the_gateway_api_does_not_know_is_noticed(http: list[Document]) -> None:
    [gateway] = of_kind(http, "Gateway").values()
    gateway["spec"]["listeners"][0]["tls"]["mode"] = "Pass"
    with pytest.raises(ValidationError):
        validate(gateway)


def test_the_doors_are_those_of_the_ingress_and_no_others(http: list[Document]) -> None:
    assert ("/v1", "PathPrefix", "api", 8081) in doors_of_gateway(http)
    assert doors_of_gateway(http) == doors_of_ingress(overlay("ibm-cloud"))


def test_the_ingress_goes_and_with_it_who_might_come_from_there(http: list[Document]) -> None:
    assert of_kind(http, "Ingress") == {}
    policies = of_kind(http, "NetworkPolicy")
    assert "from-ingress" not in policies
    assert policies["from-gateway"]["spec"] == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "api"}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "envoy-gateway-system"}}}
                ],
                "ports": [{"port": 8081}],
            }
        ],
    }


def test_each_route_is_of_a_gateway_that_there_is_and_of_its_name(tmp_path: Path) -> None:
    found = ibm_cloud_with(tmp_path, "gateway", "gateway-mqtts")
    gateways = of_kind(found, "Gateway")
    for kind, protocol in (("HTTPRoute", "HTTPS"), ("TLSRoute", "TLS")):
        for route in of_kind(found, kind).values():
            [parent] = route["spec"]["parentRefs"]
            [listener] = gateways[parent["name"]]["spec"]["listeners"]
            assert listener["protocol"] == protocol
            assert route["spec"]["hostnames"] == [listener["hostname"]]
    [https] = gateways["campus"]["spec"]["listeners"]
    assert https["hostname"] == HTTP_HOST
    assert https["tls"] == {"mode": "Terminate", "certificateRefs": [{"name": "campus-tls"}]}


def test_streams_are_not_cut_off(http: list[Document]) -> None:
    for route in of_kind(http, "HTTPRoute").values():
        for rule in route["spec"]["rules"]:
            assert rule["timeouts"] == {"request": "0s"}, "none, in the words of the Gateway API"


def test_tls_of_mqtt_is_passed_through_to_haproxy(mqtts: list[Document]) -> None:
    [route] = of_kind(mqtts, "TLSRoute").values()
    [rule] = route["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": "haproxy", "port": 8883}]
    assert ports(mqtts)["haproxy", "mqtts"] == 8883
    [listener] = of_kind(mqtts, "Gateway")["campus-mqtts"]["spec"]["listeners"]
    assert listener["port"] == 8883
    assert listener["tls"] == {"mode": "Passthrough"}
    assert "mqtt" not in of_kind(mqtts, "Service"), "one door to the front"


def test_where_all_come_from_one_address_that_one_may_have_all(mqtts: list[Document]) -> None:
    pods = {each.name: each for each in workloads(mqtts)}
    assert environment(pods["haproxy"], pods["haproxy"].main, mqtts)["ADDRESS_CONNECTIONS"] == "5000"
    assert environment(pods["broker"], pods["broker"].main, mqtts)["BROKER_ADDRESS_SHARE"] == "1"
