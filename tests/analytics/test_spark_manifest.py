"""The manifest for the Spark operator has only fields that the operator knows, each of its type."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from analytics.jobs import JOBS

JOB = Path(__file__).parents[2] / "analytics" / "spark" / "job.yaml"
Schema = dict[str, Any]
TEXT: Schema = {"type": "string", "minLength": 1}
NUMBER: Schema = {"type": "integer", "minimum": 0}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}


def strict(required: list[str], **properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


SECURITY = strict(
    ["runAsNonRoot", "allowPrivilegeEscalation", "capabilities"],
    runAsNonRoot={"const": True},
    runAsUser=NUMBER,
    allowPrivilegeEscalation={"const": False},
    capabilities=strict(["drop"], drop={"const": ["ALL"]}),
    seccompProfile=strict(["type"], type={"const": "RuntimeDefault"}),
)
SECRET = strict(["secretRef"], secretRef=strict(["name"], name=TEXT))
POD: dict[str, Schema] = {
    "cores": {"type": "integer", "minimum": 1},
    "memory": {"type": "string", "pattern": r"^\d+[mg]$"},
    "envFrom": {"type": "array", "items": SECRET},
    "env": {"type": "array", "items": strict(["name", "value"], name=TEXT, value=TEXT)},
    "securityContext": SECURITY,
}
RETRIES = (
    "onFailureRetries",
    "onFailureRetryInterval",
    "onSubmissionFailureRetries",
    "onSubmissionFailureRetryInterval",
)
SPARK_APPLICATION = strict(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "sparkoperator.k8s.io/v1beta2"},
    kind={"const": "SparkApplication"},
    metadata=strict(["name"], name={"type": "string", "pattern": "^[a-z0-9-]{1,63}$"}),
    spec=strict(
        # What the operator's own schema demands.
        ["driver", "executor", "sparkVersion", "type", "image", "mainApplicationFile"],
        type={"enum": ["Java", "Python", "Scala", "R"]},
        pythonVersion={"enum": ["2", "3"]},
        mode={"enum": ["cluster", "client"]},
        sparkVersion=TEXT,
        image=TEXT,
        imagePullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
        mainApplicationFile=TEXT,
        arguments={"type": "array", "items": TEXT},
        timeToLiveSeconds=NUMBER,
        restartPolicy=strict(
            ["type"], type={"enum": ["Never", "OnFailure", "Always"]}, **dict.fromkeys(RETRIES, NUMBER)
        ),
        sparkConf=TEXTS,
        hadoopConf=TEXTS,
        driver=strict(["serviceAccount"], serviceAccount=TEXT, **POD),
        executor=strict(["instances"], instances=NUMBER, **POD),
    ),
)


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(JOB.read_text(encoding="utf-8"))
    return loaded


def test_the_manifest_has_only_what_the_operator_knows(job: dict[str, Any]) -> None:
    assert [error.message for error in Draft202012Validator(SPARK_APPLICATION).iter_errors(job)] == []


def test_it_runs_a_job_that_there_is_with_the_version_of_spark_that_is_locked(job: dict[str, Any]) -> None:
    run, name, *_ = job["spec"]["arguments"]
    locked = (JOB.parents[2] / "requirements" / "notebooks.txt").read_text(encoding="utf-8")

    assert run == "run"
    assert name in JOBS
    assert f"pyspark=={job['spec']['sparkVersion']} " in locked
