"""The Terraform of IBM Cloud: it parses, and asks for nothing that the provider's documentation does not name.

`terraform validate` would say more; it needs the provider, which is not to be had everywhere."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from tests.deploy import ibm_provider
from tests.deploy.k8s_manifests import K8S, ROOT

FOLDER = ROOT / "deploy" / "terraform" / "ibm"
FILES = sorted(FOLDER.glob("*.tf"))
SECRETIVE = re.compile(r"password|secret(?!s_manager_id)|token|api_?key|private", re.IGNORECASE)
Body = dict[str, Any]


def parsed(path: Path) -> Body:
    with path.open() as file:
        found: Body = hcl2.load(
            file, serialization_options=hcl2.SerializationOptions(with_comments=False, strip_string_quotes=True)
        )
    return found


@pytest.fixture(scope="module")
def files() -> list[Body]:
    assert FILES
    return [parsed(path) for path in FILES]


def named(files: list[Body], kind: str) -> dict[str, Body]:
    """Variables or outputs by name."""
    found = [(name, body) for file in files for each in file.get(kind, []) for name, body in each.items()]
    assert len({name for name, _ in found}) == len(found), "one of them is there twice"
    return dict(found)


def resources(files: list[Body]) -> dict[tuple[str, str], Body]:
    found = [
        ((kind, name), body)
        for file in files
        for each in file.get("resource", [])
        for kind, several in each.items()
        for name, body in several.items()
    ]
    assert len(dict(found)) == len(found), "one of them is there twice"
    return dict(found)


def local_values(files: list[Body]) -> Body:
    return {name: value for file in files for each in file.get("locals", []) for name, value in each.items()}


def texts(value: object) -> Iterator[str]:
    """Every string in a value, and of maps the keys, too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inside in value.items():
            yield from (key, *texts(inside))
    elif isinstance(value, list):
        for inside in value:
            yield from texts(inside)


def faults(where: str, body: Body, known: ibm_provider.Block, also: set[str]) -> Iterator[str]:
    """What is in a block and not in the documentation, and what must be there and is not."""
    given = {key for key in body if key != "__is_block__"}
    inside: list[tuple[str, Body]] = []
    for dynamic in body.get("dynamic", []):
        for name, made in dynamic.items():
            if name != "__is_block__":
                inside += [(name, content) for content in made["content"]]
    given -= {"dynamic"}
    for name in given & set(known.blocks):
        inside += [(name, each) for each in body[name]]
    for name in given - known.required - known.optional - set(known.blocks) - also:
        yield f"{where}: {name} is not in the documentation"
    for name in known.required - given:
        yield f"{where}: {name} is missing"
    for name, content in inside:
        if name in known.blocks:
            yield from faults(f"{where}.{name}", content, known.blocks[name], set())
        else:
            yield f"{where}: {name} is not in the documentation"


def of(kind: str, where: str, body: Body) -> list[str]:
    known = ibm_provider.RESOURCES.get(kind)
    if known is None:
        return [f"{where}: no such resource"]
    return list(faults(where, body, known, ibm_provider.EVERYWHERE))


def test_each_resource_asks_for_what_the_documentation_names(files: list[Body]) -> None:
    found = resources(files)
    assert {kind for kind, _ in found} == set(ibm_provider.RESOURCES)
    for (kind, name), body in found.items():
        assert of(kind, f"{kind}.{name}", body) == []
        for own, allowed in (("lifecycle", ibm_provider.LIFECYCLE), ("timeouts", ibm_provider.TIMEOUTS)):
            for each in body.get(own, []):
                assert set(each) - {"__is_block__"} <= allowed


def test_what_no_documentation_names_is_noticed(files: list[Body]) -> None:
    redis = resources(files)["ibm_database", "redis"]
    assert of("ibm_databases", "x", redis) == ["x: no such resource"]
    assert of("ibm_database", "x", {**redis, "members": 2}) == ["x: members is not in the documentation"]
    without = {key: value for key, value in redis.items() if key != "plan"}
    assert of("ibm_database", "x", without) == ["x: plan is missing"]
    [group] = redis["group"]
    swollen = {**group, "memory": [{"allocation_gb": 4}]}
    assert of("ibm_database", "x", {**redis, "group": [swollen]}) == [
        "x.group.memory: allocation_gb is not in the documentation"
    ]
    cluster = resources(files)["ibm_container_vpc_cluster", "campus"]
    zoned = {**cluster, "dynamic": [{"zones": {"for_each": "x", "content": [{"name": "a"}]}}]}
    assert of("ibm_container_vpc_cluster", "x", zoned) == ["x.zones: subnet_id is missing"]


def test_each_variable_is_described_typed_and_used(files: list[Body]) -> None:
    declared = named(files, "variable")
    used = set()
    for file in files:
        for kind, body in file.items():
            if kind != "variable":
                used |= {name for text in texts(body) for name in re.findall(r"\bvar\.(\w+)", text)}
    assert used == set(declared)
    for name, body in declared.items():
        assert set(body) - {"__is_block__"} <= ibm_provider.VARIABLE, name
        assert body["description"].endswith("."), name
        assert body["type"], name


def test_no_secret_is_a_variable_or_has_a_value_here(files: list[Body]) -> None:
    for name, body in named(files, "variable").items():
        if SECRETIVE.search(name) or body.get("sensitive"):
            assert "default" not in body, name
    for (kind, name), body in resources(files).items():
        for argument in ("payload", "adminpassword", "password"):
            if argument in body:
                assert str(body[argument]).startswith("${"), f"{kind}.{name}: {argument} is written down"
    [provider] = [each["ibm"] for file in files for each in file.get("provider", [])]
    assert set(provider) - {"__is_block__"} == {"region"}, "the key comes from the environment"


def test_each_reference_is_to_something_that_there_is(files: list[Body]) -> None:
    made = resources(files)
    values = local_values(files)
    referred = set()
    for text in (text for file in files for text in texts(file)):
        for name in re.findall(r"\blocal\.(\w+)", text):
            assert name in values, text
        for kind, name, attribute in re.findall(r"\b(ibm_\w+)\.(\w+)(?:\[[^]]+\])?(?:\.(\w+))?", text):
            assert (kind, name) in made, text
            referred.add((kind, name))
            if attribute:
                known = ibm_provider.RESOURCES[kind]
                assert attribute in known.attributes | known.optional, text
    leaves = {("ibm_sm_arbitrary_secret", "campus")}
    assert set(made) - referred == leaves, "what nothing refers to, and no output says"


def test_what_comes_with_a_key_is_not_printed(files: list[Body]) -> None:
    for name, body in named(files, "output").items():
        assert set(body) - {"__is_block__"} <= ibm_provider.OUTPUT
        assert body["description"], name
        keys = re.search(r"\blocal\.|ibm_resource_key", body["value"])
        assert bool(keys) == bool(body.get("sensitive")), name


def test_secrets_are_called_as_the_manifests_call_them(files: list[Body]) -> None:
    values = local_values(files)
    assert sorted(values["secrets"]) == sorted(values["secret_names"])
    made = yaml.safe_load((K8S / "credentials" / "ibm-cloud" / "kustomization.yaml").read_text())
    listed = {
        entry.rpartition("=")[2]
        for kind in ("secretGenerator", "configMapGenerator")
        for each in made[kind]
        for entry in each["files"]
    }
    # Those of object storage are for the component `backup`, whose Secret people make.
    assert set(values["secrets"]) - listed == {"S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"}
    assert values["secrets"]["REDIS_URL"].endswith("ssl_ca_certs=/etc/redis-ca/ca.pem")


def test_the_stores_are_not_destroyed_by_a_plan(files: list[Body]) -> None:
    made = resources(files)
    for key in (("ibm_database", "redis"), ("ibm_cloudant", "documents"), ("ibm_cos_bucket", "backups")):
        assert [each["prevent_destroy"] for each in made[key]["lifecycle"]] == [True], key
    settings = made["ibm_database", "redis"]["configuration"]
    assert '"maxmemory-policy" = "noeviction"' in settings


@pytest.mark.parametrize("page", ["deploy/terraform/ibm/README.md", "docs/deploy-ibm-cloud.md"])
def test_the_pages_name_outputs_and_variables_that_there_are(files: list[Body], page: str) -> None:
    text = (ROOT / page).read_text()
    outputs = set(re.findall(r"\boutput -(?:raw|json) (\w+)", text))
    assert outputs
    assert outputs <= set(named(files, "output"))
    variables = set(re.findall(r"-var '?(\w+)=?", text))
    assert variables <= set(named(files, "variable"))
    assert "backup_bucket" in variables


def test_the_readme_says_that_it_was_not_validated() -> None:
    text = (FOLDER / "README.md").read_text()
    assert "`terraform validate` was not run" in text


def test_what_terraform_keeps_is_ignored_by_git() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"*.tfstate", "*.tfvars", "*.plan", ".terraform/"} <= set(ignored)


def test_the_parser_reads_what_is_written() -> None:
    """Were it to leave things out, the tests above would say nothing."""
    assert json.dumps(parsed(FOLDER / "network.tf")).count("ibm_is_public_gateway") == 2
    with pytest.raises(Exception, match="Unexpected token"):
        hcl2.loads('resource "a" "b" { name = }')
