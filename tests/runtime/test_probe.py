"""The health check of containers, against a real server."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from runtime.probe import problem


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = 200 if self.path == "/healthz" else 503
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"archive waits: Cloudant answers 429")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Answers) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_what_answers_200_has_no_problem(server: str) -> None:
    assert problem(f"{server}/healthz") is None


def test_what_answers_otherwise_is_told_with_its_words(server: str) -> None:
    assert problem(f"{server}/readyz") == f"{server}/readyz answers 503: archive waits: Cloudant answers 429"


def test_what_does_not_answer_is_a_problem() -> None:
    assert "refused" in str(problem("http://127.0.0.1:1/healthz"))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:9100", "https://127.0.0.1/", ""])
def test_anything_but_an_http_address_is_refused(url: str) -> None:
    assert "is not an address" in str(problem(url))
