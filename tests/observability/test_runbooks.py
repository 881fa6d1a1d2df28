"""Each alert has what whoever is woken by it needs: a sentence, and a section that says what to do."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "deploy/observability/prometheus/rules").glob("*.yml"))
ALERTS: list[dict[str, Any]] = [
    rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]
]
PAGE = (ROOT / "docs/operating.md").read_text()
every_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))


def test_there_are_as_many_alerts_as_were_meant_and_each_name_is_there_once() -> None:
    names = [alert["alert"] for alert in ALERTS]
    assert len(names) == len(set(names)) == 29


@every_alert
def test_an_alert_says_how_bad_it_is_after_how_long_and_in_one_sentence_what_it_is(alert: dict[str, Any]) -> None:
    assert set(alert) == {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[mh]", alert["for"])
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert set(alert["annotations"]) == {"summary", "runbook_url"}
    summary = re.sub(r"\{\{.*?\}\}", "x", alert["annotations"]["summary"])
    assert re.fullmatch(r"[A-Zx][^.]*(?:\.[^ .][^.]*)*\.", summary), summary


@every_alert
def test_an_alert_leads_to_a_section_with_its_meaning_where_to_look_and_what_to_do(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert alert["annotations"]["runbook_url"] == f"docs/operating.md#alert-{name.lower()}"
    found = re.search(rf"^### Alert: {name}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    for part in ("**Meaning.**", "**Look at**", "**Do"):
        assert part in found[1], part


def test_a_section_is_about_an_alert_that_there_is() -> None:
    assert set(re.findall(r"^### Alert: (\w+)$", PAGE, re.MULTILINE)) == {alert["alert"] for alert in ALERTS}


@every_alert
def test_an_alert_asks_for_metrics_of_a_job_since_the_exporter_of_redis_has_names_of_ours(
    alert: dict[str, Any],
) -> None:
    names = re.findall(
        r"\b((?:broker|decoder|api|redis|haproxy|probe|node_filesystem|kubelet)_\w+|up)(\{[^}]*\})?", alert["expr"]
    )
    by_name = re.findall(r"\{__name__=~[^}]*\}", alert["expr"])
    assert names or by_name
    for name, selector in names:
        assert "job=" in selector or any(name in each for each in by_name) or name in selector, name
