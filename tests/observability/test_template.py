"""What the store knows of the fields of logs, and of questions to them."""

import pytest

from tests.opensearch.server import OpenSearchServer

pytestmark = [pytest.mark.observability, pytest.mark.timeout(420)]
AT = "2026-11-29T10:00:00.123456Z"


def put(opensearch: OpenSearchServer, **document: object) -> None:
    opensearch.ask("POST", "/logs-2026-11-29/_doc", {"timestamp": AT, "service": "api", "node": "api-1", **document})


def test_an_index_of_a_day_has_the_fields_of_the_template_and_one_shard(opensearch: OpenSearchServer) -> None:
    put(opensearch, event="a", held_back=3, request="7c9e6679-7425-40de-944b-e07fc1f90ae7")
    [made] = opensearch.ask("GET", "/logs-2026-11-29").values()
    settings = made["settings"]["index"]
    assert (settings["number_of_shards"], settings["number_of_replicas"]) == ("1", "0")
    assert settings["mapping"]["total_fields"]["limit"] == "1000"
    kinds = {name: each["type"] for name, each in made["mappings"]["properties"].items()}
    for name in ("service", "node", "logger", "level", "event", "reason", "request"):
        assert kinds[name] == "keyword", name
    assert (kinds["timestamp"], kinds["@timestamp"], kinds["held_back"]) == ("date", "alias", "long")


def test_questions_in_time_by_words_and_by_number(opensearch: OpenSearchServer) -> None:
    put(opensearch, event="a defect of ours ended a connection", status=200)
    put(opensearch, event="request", status=503, path="/v1/zones")
    assert opensearch.count('@timestamp:["2026-11-29T09:00:00Z" TO "2026-11-29T11:00:00Z"]') == 2
    assert opensearch.count("event.words:defect") == 1
    assert opensearch.count("event:request AND status:[500 TO 599]") == 1


def test_a_text_that_looks_like_a_time_stays_a_text_and_a_long_one_is_kept(opensearch: OpenSearchServer) -> None:
    put(opensearch, event="a", until="2026-11-30")
    put(opensearch, event="b", until="when it ends", exception="x" * 5000, detail="y" * 5000)
    assert {each["until"] for each in opensearch.documents()} == {"2026-11-30", "when it ends"}
    assert {len(each.get("detail", "")) for each in opensearch.documents()} == {0, 5000}


def test_the_template_may_be_said_again(opensearch: OpenSearchServer) -> None:
    opensearch.put_template()
    assert [each["name"] for each in opensearch.ask("GET", "/_index_template/logs")["index_templates"]] == ["logs"]
