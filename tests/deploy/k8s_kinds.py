"""Kinds that others define, for the optional components: the Gateway API, cert-manager, External Secrets.

Written by hand, of the fields that are used here, after the definitions of Gateway API 1.4, cert-manager 1.18 and
External Secrets 0.18. `make cluster` gives the same documents to an API server that has those definitions themselves.
"""

from pathlib import Path

from jsonschema import Draft202012Validator

from tests.deploy import test_k8s_schemas as own
from tests.deploy.k8s_manifests import Document, documents, kustomization
from tests.deploy.test_k8s_schemas import NUMBER, PATH, TEXT, VERSIONS, listed, strict

HOST: Document = {"type": "string", "pattern": r"^(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"}
GO_DURATION: Document = {"type": "string", "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"}
NAMED = strict(["name"], name=TEXT)
KEY = strict(["name", "key"], name=TEXT, key=TEXT)
BACKEND = strict(["name", "port"], name=TEXT, port=NUMBER)
KINDS: dict[tuple[str, str], Document] = {
    ("gateway.networking.k8s.io/v1", "Gateway"): strict(
        ["gatewayClassName", "listeners"],
        gatewayClassName=TEXT,
        listeners=listed(
            strict(
                ["name", "port", "protocol"],
                name=TEXT,
                port=NUMBER,
                protocol={"enum": ["HTTP", "HTTPS", "TLS", "TCP", "UDP"]},
                hostname=HOST,
                tls=strict(["mode"], mode={"enum": ["Terminate", "Passthrough"]}, certificateRefs=listed(NAMED)),
            )
        ),
    ),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): strict(
        ["parentRefs", "rules"],
        parentRefs=listed(NAMED),
        hostnames=listed(HOST),
        rules=listed(
            strict(
                ["backendRefs"],
                matches=listed(strict(["path"], path=PATH)),
                timeouts=strict(["request"], request=GO_DURATION),
                backendRefs=listed(BACKEND),
            )
        ),
    ),
    ("gateway.networking.k8s.io/v1alpha3", "TLSRoute"): strict(
        ["hostnames", "rules"],
        parentRefs=listed(NAMED),
        hostnames=listed(HOST),
        rules=listed(strict(["backendRefs"], backendRefs=listed(BACKEND))),
    ),
    ("cert-manager.io/v1", "Issuer"): strict(
        ["acme"],
        acme=strict(
            ["server", "privateKeySecretRef"],
            server=TEXT,
            privateKeySecretRef=NAMED,
            solvers=listed(
                strict(
                    ["dns01"],
                    dns01=strict(
                        ["rfc2136"],
                        rfc2136=strict(
                            ["nameserver"],
                            nameserver=TEXT,
                            tsigKeyName=TEXT,
                            tsigAlgorithm={"enum": ["HMACMD5", "HMACSHA1", "HMACSHA256", "HMACSHA512"]},
                            tsigSecretSecretRef=KEY,
                        ),
                    ),
                )
            ),
        ),
    ),
    ("cert-manager.io/v1", "Certificate"): strict(
        ["secretName", "issuerRef"],
        secretName=TEXT,
        dnsNames=listed(HOST),
        renewBefore=GO_DURATION,
        privateKey=strict(
            [],
            algorithm={"enum": ["RSA", "ECDSA", "Ed25519"]},
            size=NUMBER,
            rotationPolicy={"enum": ["Never", "Always"]},
        ),
        issuerRef=strict(["name"], name=TEXT, kind={"enum": ["Issuer", "ClusterIssuer"]}),
    ),
    ("external-secrets.io/v1", "SecretStore"): strict(
        ["provider"],
        provider=strict(
            ["ibm"],
            ibm=strict(
                ["auth"],
                serviceUrl=TEXT,
                auth=strict(["secretRef"], secretRef=strict(["secretApiKeySecretRef"], secretApiKeySecretRef=KEY)),
            ),
        ),
    ),
    ("external-secrets.io/v1", "ExternalSecret"): strict(
        ["secretStoreRef", "target", "data"],
        refreshInterval=GO_DURATION,
        secretStoreRef=strict(["name"], name=TEXT, kind={"enum": ["SecretStore", "ClusterSecretStore"]}),
        target=NAMED,
        data=listed(
            strict(["secretKey", "remoteRef"], secretKey=TEXT, remoteRef=strict(["key"], key=TEXT)),
        ),
    ),
}


def validate(document: Document) -> None:
    """Raise `jsonschema.ValidationError` for fields that a kind does not have."""
    schema = KINDS.get((document["apiVersion"], document["kind"]))
    if schema is None:
        own.validate(document, VERSIONS[-1])
    else:
        assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
        Draft202012Validator(schema).validate(document["spec"])


def ibm_cloud_with(folder: Path, *components: str) -> list[Document]:
    """The overlay of IBM Cloud with optional components."""
    paths = [f"components/{name}" for name in components]
    return documents(
        kustomization(folder / "with", namespace="campus", resources=["overlays/ibm-cloud"], components=paths)
    )
