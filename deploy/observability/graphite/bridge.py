"""Give Graphite what Prometheus has: `python -m deploy.observability.graphite.bridge`.

Once in BRIDGE_EVERY seconds it reads the newest value of each series from PROMETHEUS_URL (/federate) and sends it to
GRAPHITE_ADDRESS (HOST:PORT, carbon's plain text), below `campus.JOB.NODE`. Buckets of histograms stay behind: Graphite
has no way to make a quantile of them, and keeps a file for each. Where either is away, that round is left out and the
next one comes; Graphite shows a gap.
"""

import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry
from prometheus_client.bridge.graphite import GraphiteBridge
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

PREFIX = "campus"
WANTED = '{job=~".+",__name__!~".+_(bucket|created)"}'
MOST_BYTES = 32 * 1024 * 1024
"""Of one answer of Prometheus: some 200,000 series."""
TIMEOUT_SECONDS = 20.0
LONGEST = 3600.0
NOT_IN_A_PATH = ("job", "node", "instance")
"""Labels that the place of a series says already."""
Place = tuple[str, str]
"""Job and node."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to read, where to send, how often."""

    prometheus: str
    host: str
    port: int
    every: float


def settings(environment: Mapping[str, str]) -> Settings:
    """Raises ValueError with what to change."""
    prometheus = environment.get("PROMETHEUS_URL") or "http://prometheus:9090"
    if not prometheus.startswith(("http://", "https://")):
        raise ValueError("PROMETHEUS_URL: an address that begins with http:// or https:// is needed")
    host, _, port = (environment.get("GRAPHITE_ADDRESS") or "graphite:2003").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError("GRAPHITE_ADDRESS: HOST:PORT is needed, such as graphite:2003")
    try:
        every = float(environment.get("BRIDGE_EVERY") or 60)
    except ValueError:
        every = 0
    if not 1 <= every <= LONGEST:
        raise ValueError("BRIDGE_EVERY: seconds from 1 to 3600 are needed")
    return Settings(prometheus.rstrip("/"), host.strip("[]"), int(port), every)


class Told(Collector):
    """Families as Prometheus told them, without the labels that their place says."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """What Graphite is to have of one place."""
        return self._families


def by_place(text: str) -> dict[Place, Told]:
    """The series of each job and node in an answer of /federate. Raises ValueError where it is none."""
    found: dict[Place, list[Metric]] = {}
    for family in text_string_to_metric_families(text):
        of_place: dict[Place, Metric] = {}
        for sample in family.samples:
            place = (sample.labels.get("job", ""), sample.labels.get("node") or sample.labels.get("instance", ""))
            own = of_place.setdefault(place, Metric(family.name, family.documentation, family.type))
            labels = {name: value for name, value in sample.labels.items() if name not in NOT_IN_A_PATH}
            if sample.value == sample.value:
                own.add_sample(sample.name, labels, sample.value)
        for place, family_there in of_place.items():
            found.setdefault(place, []).append(family_there)
    return {place: Told(families) for place, families in found.items()}


def prefix(place: Place) -> str:
    """Where the series of a place are in Graphite: `campus.JOB.NODE`, with `_` for what cannot be in a path."""
    return ".".join((PREFIX, *(_part(part) for part in place)))


def _part(text: str) -> str:
    plain = "".join(letter if (letter.isascii() and letter.isalnum()) or letter in "-_" else "_" for letter in text)
    return plain or "none"


def read(url: str) -> str:
    """The newest value of each series. Raises OSError, and ValueError for an answer that is too long."""
    query = urllib.parse.urlencode({"match[]": WANTED})
    with urllib.request.urlopen(f"{url}/federate?{query}", timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - http(s), see settings
        body: bytes = answer.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise ValueError(f"Prometheus answered with more than {MOST_BYTES} bytes")
    return body.decode()


def push(places: Mapping[Place, Told], wanted: Settings) -> None:
    """Send all of it, a connection for each place. Raises OSError."""
    for place, told in sorted(places.items()):
        registry = CollectorRegistry()
        registry.register(told)
        bridge = GraphiteBridge((wanted.host, wanted.port), registry, timeout_seconds=TIMEOUT_SECONDS, tags=False)
        bridge.push(prefix(place))


def once(wanted: Settings) -> str | None:
    """One round; what went wrong, as a sentence without addresses of others, or None."""
    try:
        places = by_place(read(wanted.prometheus))
    except (OSError, ValueError) as error:
        return f"Prometheus does not say what it has: {type(error).__name__}: {error}"
    try:
        push(places, wanted)
    except OSError as error:
        return f"Graphite does not take it: {type(error).__name__}: {error}"
    return None


def run(wanted: Settings, stop: threading.Event, monotonic: Callable[[], float] = time.monotonic) -> None:
    """A round in each interval until `stop`; the log has each change between well and not."""
    said: str | None = ""
    while not stop.is_set():
        began = monotonic()
        problem = once(wanted)
        if problem != said:
            _log("warning" if problem else "info", problem or "Graphite has what Prometheus has")
            said = problem
        stop.wait(max(wanted.every - (monotonic() - began), 0))


def _log(level: str, event: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"timestamp": now, "level": level, "service": "graphite-bridge", "event": event[:500]}
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


def main() -> int:
    """Until SIGTERM or Ctrl-C; exit code 2 where a setting cannot work."""
    try:
        wanted = settings(os.environ)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(wanted, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
