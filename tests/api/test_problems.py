from unittest.mock import Mock

import httpx
import pytest
from fastapi import FastAPI

from api.http import problems
from core.errors import UnavailableError
from tests.api.conftest import assert_problem


async def test_an_address_of_nothing_is_a_404_problem(client: httpx.AsyncClient) -> None:
    for path in ("/nothing", "/v1", "/v1/", "/v1/zones/", "/v1/zones/kemmy/", "/static/", "/static/nothing.js"):
        problem = assert_problem(await client.get(path), 404)

        assert problem["type"] == "about:blank"
        assert problem["instance"] == path


async def test_a_method_that_is_not_possible_is_a_405_problem_that_says_what_is(client: httpx.AsyncClient) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "BREW"):
        answer = await client.request(method, "/v1/zones")

        problem = assert_problem(answer, 405)
        assert answer.headers["allow"] == "GET, HEAD"
        assert method in str(problem["detail"])


async def test_a_405_names_all_methods_of_its_path_whichever_routes_have_them(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert paths["/v1/zones/{zone}"].keys() == {"get", "put", "patch", "delete"}
    for path, operations in {**paths, "/": {"get": {}}, "/docs": {"get": {}}, "/openapi.json": {"get": {}}}.items():
        wanted = {method.upper() for method in operations} - {"PARAMETERS"}
        wanted |= {"HEAD"} if "GET" in wanted else set()
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"} - wanted:
            answer = await client.request(method, path.replace("{zone}", "kemmy"))

            assert_problem(answer, 405)
            assert set(answer.headers["allow"].split(", ")) == wanted, (method, path)


async def test_the_instance_is_an_address_whatever_was_asked(client: httpx.AsyncClient) -> None:
    problem = assert_problem(await client.get("/v1/zones/%22%3Cscript%3E%0A%C3%A9"), 404)

    assert problem["instance"] == "/v1/zones/%22%3Cscript%3E%0A%C3%A9"


async def test_long_input_is_not_sent_back_whole(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/v1/zones/{'x' * 5000}")

    assert_problem(answer, 404)
    assert len(answer.content) < 1000


async def test_an_unexpected_error_is_a_500_without_internals_and_is_logged(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Mock()
    monkeypatch.setattr(problems, "_log", log)

    @app.get("/defect")
    async def defect() -> None:
        raise RuntimeError("the password is 123")

    answer = await client.get("/defect")

    assert_problem(answer, 500)
    assert "123" not in answer.text
    log.exception.assert_called_once_with("a request failed", method="GET", route="/defect")


async def test_unavailable_passes_on_the_wait_that_the_dependency_asked_for(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    @app.get("/busy")
    async def busy() -> None:
        raise UnavailableError("10.0.0.7 says 429", retry_after=6.2)

    answer = await client.get("/busy")

    assert_problem(answer, 503)
    assert answer.headers["retry-after"] == "7"
    assert "10.0.0.7" not in answer.text


async def test_an_error_is_never_kept_by_a_cache(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/zones/atlantis")).headers["cache-control"] == "no-store"


async def test_no_answer_is_guessed_to_be_of_another_type(client: httpx.AsyncClient) -> None:
    for path in ("/v1/zones", "/v1/occupancy", "/v1/zones/atlantis", "/", "/docs", "/static/main.js"):
        assert (await client.get(path)).headers["x-content-type-options"] == "nosniff"
