"""A release that is promoted by a canary, with a cluster and an API that only note what they are told."""

import json
from pathlib import Path

import pytest
import yaml

from deploy.k8s.next_version import next_version, past_haproxy
from tests.deploy.k8s_manifests import OVERLAYS, kustomization, rendered
from tests.deploy.test_release import COMMIT, IMAGES, PREFIX, ROOT, Tools, digest, named

OVERLAY = "deploy/k8s/overlays/local"
HERE = {"API_URL": "http://api.example", "API_KEY": "ck_secret", "PROMOTE_EVERY": "0"}
SEEN = json.dumps({"versions": [{"version": "current", "healthy": True}, {"version": "next", "healthy": True}]})
SCALED_DOWN = "kubectl --namespace campus scale deployment api-next --replicas 0"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.write_text(named())
    return path


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path, "kubectl", "curl")


def answers(state: str, why: str, *more: tuple[str, int, str]) -> list[tuple[str, int, str]]:
    canary = json.dumps({"state": state, "why": why})
    told = [("/v1/apps/api/canary", 0, canary), ("/v1/apps/api/route", 0, "{}"), ("/v1/apps/api", 0, SEEN)]
    return [*more, *told, ("get deployment api --output", 0, "3")]


def steps(tools: Tools) -> list[str]:
    """What it did, without looks."""
    found = []
    for call in tools.calls:
        if "kustomize" in call or " get deployment" in call or "--request GET" in call:
            continue
        found.append(call)
    return found


def test_people_get_the_new_api_by_a_canary_and_then_everything_is_applied(tools: Tools, images: Path) -> None:
    tools.answer(*answers("done", "all have it", ("get deployments", 0, "deployment.apps/api\\n")))
    done = tools.run("promote", OVERLAY, str(images), COMMIT, **HERE)
    assert done.returncode == 0, done.stderr

    did = steps(tools)
    assert did[0].startswith("kubectl apply --filename ")
    assert did[0].endswith("/next.yaml")
    assert did[1] == "kubectl --namespace campus scale deployment api-next --replicas 3", "as many as are ready of api"
    assert did[2] == "kubectl --namespace campus rollout status deployment/api-next --timeout 10m"
    assert '--request POST --header If-Match: * --header Content-Type: application/json --data {"to": "next"' in did[3]
    assert '"steps": [5,20,50,100]' in did[3]
    assert did[4].endswith("/named.yaml"), "nothing of what runs is replaced before"
    back = [number for number, call in enumerate(did) if "--request PUT" in call]
    assert len(back) == 1
    assert '"shares": {"current": 100, "next": 0}' in did[back[0]]
    assert "rollout status deployment.apps/api " in did[5]
    assert 5 < back[0] == len(did) - 2
    assert did[-1] == SCALED_DOWN
    assert not [call for call in tools.calls if "ck_secret" in call], "a key in a command line is for everybody to read"
    assert "canary: done: all have it" in done.stdout


@pytest.mark.parametrize("state", ["back", "ended"])
def test_a_canary_that_goes_back_or_is_ended_changes_nothing_and_the_next_version_ends_when_nobody_is_meant_to_get_it(
    tools: Tools, images: Path, state: str
) -> None:
    tools.answer(*answers(state, "3 errors of 61 answers, of the others 0 of 1181"))
    done = tools.run("promote", OVERLAY, str(images), COMMIT, **HERE)
    assert done.returncode == 1
    assert "3 errors of 61 answers" in done.stdout
    assert "does not do well enough" in done.stderr
    assert not [call for call in steps(tools) if "named.yaml" in call]
    # Whoever ended it by another rule may have left people on it.
    assert '"shares": {"current": 100, "next": 0}' in steps(tools)[-2]
    assert steps(tools)[-1] == SCALED_DOWN


def test_while_people_cannot_be_given_back_the_next_version_stays(tools: Tools, images: Path) -> None:
    tools.answer(*answers("ended", "the rule was changed", ("--request PUT", 22, "Redis is away")))
    done = tools.run("promote", OVERLAY, str(images), COMMIT, **HERE)
    assert done.returncode == 1
    assert "api-next stays, for people may be on it: 'promote back' gives them to api" in done.stderr
    assert SCALED_DOWN not in tools.calls


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, json.dumps({"versions": [{"version": "current", "healthy": False}, {"version": "next", "healthy": True}]})),
        (0, json.dumps({"versions": []})),
        (22, json.dumps({"title": "Not Found"})),
        (7, ""),
    ],
)
def test_without_a_healthy_api_to_go_back_to_nothing_is_begun(tools: Tools, images: Path, code: int, said: str) -> None:
    tools.answer(*answers("done", "all have it", ("--request GET", code, said)))
    done = tools.run("promote", OVERLAY, str(images), COMMIT, **HERE)
    assert done.returncode == 1
    assert "apply this release once first, without a canary" in done.stderr
    assert steps(tools) == []


def test_a_canary_that_takes_too_long_goes_back(tools: Tools, images: Path) -> None:
    tools.answer(*answers("running", "at 5 %: 12 of 200 requests"))
    done = tools.run("promote", OVERLAY, str(images), COMMIT, **HERE, PROMOTE_LIMIT="0")
    assert done.returncode == 1
    assert "takes too long" in done.stderr
    assert '"shares": {"current": 100, "next": 0}' in steps(tools)[-2]
    assert steps(tools)[-1] == SCALED_DOWN


def test_a_next_version_that_does_not_come_up_or_is_refused_ends(tools: Tools, images: Path) -> None:
    for refused in (("rollout status deployment/api-next", 1, ""), ("--request POST", 22, "a canary runs already")):
        tools.answer(*answers("done", "", refused))
        done = tools.run("promote", OVERLAY, str(images), COMMIT, **HERE)
        assert done.returncode != 0
        assert '"shares": {"current": 100, "next": 0}' in steps(tools)[-2]
        assert steps(tools)[-1] == SCALED_DOWN
        assert not [call for call in steps(tools) if "named.yaml" in call]


def test_where_the_rest_does_not_come_up_the_next_version_stays_for_it_has_everybody(
    tools: Tools, images: Path
) -> None:
    apply_fails = ("named.yaml", 1, "")
    tools.answer(*answers("done", "all have it", apply_fails))
    done = tools.run("promote", OVERLAY, str(images), COMMIT, **HERE)
    assert done.returncode == 1
    assert "everybody has api-next" in done.stderr
    assert SCALED_DOWN not in tools.calls
    assert not [call for call in tools.calls if "--request PUT" in call]


def test_back_gives_everybody_to_the_present_version_first(tools: Tools) -> None:
    tools.answer(("get deployment api-next", 0, "deployment.apps/api-next"), ("/v1/apps/api/route", 0, "{}"))
    done = tools.run("promote", "back", OVERLAY, **HERE)
    assert done.returncode == 0, done.stderr
    assert '"shares": {"current": 100, "next": 0}' in tools.calls[-2]
    assert tools.calls[-1] == SCALED_DOWN


def test_back_does_nothing_where_there_never_was_a_next_version(tools: Tools) -> None:
    assert tools.run("promote", "back", OVERLAY, **HERE).returncode == 0
    assert len(tools.calls) == 1


def test_without_a_key_nothing_is_begun(tools: Tools, images: Path) -> None:
    done = tools.run("promote", OVERLAY, str(images), COMMIT, API_URL="http://api.example")
    assert done.returncode != 0
    assert "API_KEY: is a key with the scope admin" in done.stderr
    assert tools.calls == []


@pytest.mark.parametrize("name", ["ibm-cloud", "staging"])
def test_where_people_come_to_the_api_past_haproxy_nothing_is_begun(tools: Tools, images: Path, name: str) -> None:
    tools.answer(*answers("done", "all have it"))
    done = tools.run("promote", f"deploy/k8s/overlays/{name}", str(images), COMMIT, **HERE)
    assert done.returncode == 1
    assert "a canary cannot work here: Ingress api sends people to the Service api past HAProxy" in done.stderr
    assert steps(tools) == []


def test_only_what_leads_to_the_api_itself_is_past_haproxy(tmp_path: Path) -> None:
    assert past_haproxy(rendered(ROOT / "deploy/k8s/overlays/local")) == []
    assert past_haproxy(rendered(ROOT / "deploy/k8s/overlays/local-cluster")) == []
    assert past_haproxy(rendered(ROOT / "deploy/k8s/overlays/ibm-cloud")) == ["Ingress api"]
    gateway = kustomization(
        tmp_path / "with", namespace="campus", resources=["overlays/ibm-cloud"], components=["components/gateway"]
    )
    assert past_haproxy(rendered(gateway)) == ["HTTPRoute api"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_next_version_is_as_the_present_one_and_may_go_where_that_goes(name: str) -> None:
    text = rendered(ROOT / "deploy/k8s/overlays" / name)
    every, found = ([each for each in yaml.safe_load_all(part) if each] for part in (text, next_version(text)))
    [before] = [each for each in every if each["kind"] == "Deployment" and each["metadata"]["name"] == "api"]
    [after] = [each for each in found if each["kind"] == "Deployment"]
    assert after["metadata"]["name"] == "api-next"
    selected = after["spec"]["selector"]["matchLabels"]
    assert selected["app.kubernetes.io/name"] == "api-next"
    assert selected.items() <= after["spec"]["template"]["metadata"]["labels"].items()
    one, other = (each["spec"]["template"]["spec"] for each in (before, after))
    assert one["containers"] == other["containers"]
    assert one["volumes"] == other["volumes"]

    [service] = [each for each in found if each["kind"] == "Service"]
    labels = service["metadata"]["labels"]
    assert (labels["campus.app"], labels["campus.version"]) == ("api", "next")
    assert service["spec"]["selector"]["app.kubernetes.io/name"] == "api-next"
    [haproxy] = [each for each in every if each["kind"] == "Deployment" and each["metadata"]["name"] == "haproxy"]
    told = {each["name"]: each.get("value") for each in haproxy["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert told["API_NEXT_FQDN"] == "api-next.$(NAMESPACE).svc.cluster.local"

    policies = {each["metadata"]["name"]: each["spec"] for each in every if each["kind"] == "NetworkPolicy"}
    added = {each["metadata"]["name"]: each["spec"] for each in found if each["kind"] == "NetworkPolicy"}
    naming = {name for name, spec in policies.items() if names_the_api(spec)}
    assert added.keys() == {f"{name}-next" for name in naming}
    assert len(naming) >= 4
    for policy in naming:
        as_before = json.dumps(policies[policy]).replace('"api"', '"api-next"')
        assert json.loads(as_before) == added[f"{policy}-next"], policy


def names_the_api(spec: object) -> bool:
    return '"api"' in json.dumps(spec)


def test_what_has_no_api_has_no_next_version() -> None:
    with pytest.raises(ValueError, match="no Deployment and Service api"):
        next_version("kind: Deployment\nmetadata:\n  name: broker\n")


def test_the_images_of_the_next_version_are_those_that_were_verified(tools: Tools, images: Path) -> None:
    done = tools.run("render", OVERLAY, str(images))
    assert done.returncode == 0, done.stderr
    [made] = [each for each in yaml.safe_load_all(next_version(done.stdout)) if each["kind"] == "Deployment"]
    used = {each["image"] for each in made["spec"]["template"]["spec"]["containers"]}
    assert used == {f"{PREFIX}/api@{digest('api')}"}
    assert "api" in IMAGES
