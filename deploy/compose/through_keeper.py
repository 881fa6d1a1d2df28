"""Which addresses of Redis services are given where the keeper of faults stands between: deploy/compose/faults.yml."""

from collections.abc import Mapping
from urllib.parse import urlsplit

PORTS: Mapping[str, int] = {
    **dict.fromkeys(("broker", "broker-next"), 16379),
    **dict.fromkeys(("decoder", "demo-judge"), 26379),
    **dict.fromkeys(("api", "api-next"), 36379),
}
"""Where the keeper stands before Redis, by service; FAULTS_PROXIES of the compose file says the same."""


def through_keeper(files: Mapping[str, Mapping[str, str]], keeper: str) -> dict[str, dict[str, str]]:
    """What each service is given, by name of its file, with the keeper's addresses in the place of that of Redis.

    `keeper` is the keeper's host. Raises ValueError where REDIS_URL has no single server.
    """
    found = {service: dict(contents) for service, contents in files.items()}
    for service, port in PORTS.items():
        if (url := found.get(service, {}).get("REDIS_URL")) is not None:
            found[service]["REDIS_URL"] = _at(url, f"{keeper}:{port}")
    return found


def _at(url: str, address: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "redis":
        raise ValueError(
            f"FAULTS_KEEPER: no keeper can stand before {parts.scheme}: a Redis Cluster and Sentinel name servers "
            "themselves, and TLS is for the server's own name. Start without deploy/compose/faults.yml"
        )
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}{address}").geturl()
