"""OpenSearch itself, from the jars that `tests/opensearch/build` gets: of one file's own, and killed as it pleases."""

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.observability.opensearch.setup import put_template
from tests.ports import free_port
from tests.watchdog import watched

BUILD = Path(__file__).with_name("build")
START_SECONDS = 240.0
"""Alone it is ready after 6 to 20; on two cores with a load of 20 it has taken 100."""
STOP_SECONDS = 30.0
JAVA = ("-Xms192m", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.security.manager=allow")
"""It starts soon and stays small, which a test wants; it need not be fast for hours."""


def opensearch_jars() -> Path | None:
    """The folder with its jars and with what starts it, if `make opensearch` has been there; None without a Java."""
    built = Path(subprocess.run([BUILD, "--where"], capture_output=True, text=True, check=True).stdout.strip())
    return built if (built / "Launcher.class").is_file() and shutil.which("java") else None


@dataclass(slots=True)
class OpenSearchServer:
    """A node on ports and in a folder of its own."""

    jars: Path
    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "opensearch.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it; again after `kill`, with what it had, on the same port."""
        self.port = self.port or free_port()
        (self.folder / "config").mkdir(parents=True, exist_ok=True)
        (self.folder / "config" / "opensearch.yml").touch()
        until = time.monotonic() + START_SECONDS
        self._launch()
        while not self._is_ready():
            assert self.process
            if self.process.poll() is not None and self._bound_by_another() and time.monotonic() < until:
                self._launch()
            elif self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"OpenSearch did not start:\n{self.log[-6000:]}")
            time.sleep(0.1)

    def _bound_by_another(self) -> bool:
        """Whether it ended since somebody has taken the port for other nodes, in the seconds until it came to that."""
        return "BindTransportException" in self.log[-6000:]

    def _launch(self) -> None:
        launch = ["Launcher", str(self.folder), str(self.port), str(free_port())]
        (self.folder / "opensearch.log").unlink(missing_ok=True)
        with (self.folder / "opensearch.log").open("ab") as log:
            self.process = watched(
                subprocess.Popen(
                    ["java", *JAVA, "-cp", f"{self.jars}:{self.jars}/lib/*", *launch],
                    cwd=self.folder,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(STOP_SECONDS)

    def wait_until_somebody_asks(self) -> None:
        """While it is away: until somebody has connected to its port, and has got no answer."""
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            listener.settimeout(START_SECONDS)
            connection, _ = listener.accept()
            connection.close()

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """One request to its API; the JSON of its answer. Raises HTTPError."""
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:  # noqa: S310 - our own server
            return json.loads(answer.read() or "null")

    def documents(self, query: object = None, index: str = "logs-*") -> list[dict[str, Any]]:
        """All that a query finds, up to its own 10,000, in the order of their times."""
        body = {"query": query or {"match_all": {}}, "size": 10_000, "sort": [{"timestamp": {"unmapped_type": "date"}}]}
        found = self._find(f"/{index}/_search", body)
        return [{**hit["_source"], "_index": hit["_index"], "_id": hit["_id"]} for hit in found["hits"]["hits"]]

    def count(self, text: str = "*", index: str = "logs-*") -> int:
        """How many documents there are, of those that a query in Lucene's words finds."""
        body = {"query": {"query_string": {"query": text}}}
        return int(self._find(f"/{index}/_count", body)["count"])

    def _find(self, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        """What there is by now. An index that is being made answers 503 for a moment."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self.ask("POST", f"{path.rpartition('/')[0]}/_refresh?ignore_unavailable=true")
                return self.ask("POST", f"{path}?ignore_unavailable=true&allow_no_indices=true", body)
            except urllib.error.HTTPError as error:
                if error.code != 503 or time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def indices(self) -> set[str]:
        """The names of all indices."""
        return {each["index"] for each in self.ask("GET", "/_cat/indices?format=json&expand_wildcards=all")}

    def restart_if_ended(self) -> None:
        """Start it if a test has killed it."""
        if self.process is None or self.process.poll() is not None:
            self.start()

    def put_template(self) -> None:
        """Say what the fields of logs are, as `logs-setup` does."""
        put_template(self.url)

    def clear(self) -> None:
        """Remove all indices of logs."""
        self.ask("DELETE", "/logs-*?ignore_unavailable=true")

    def _is_ready(self) -> bool:
        try:
            return bool(self.ask("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")["status"] != "red")
        except (urllib.error.URLError, OSError):
            return False
