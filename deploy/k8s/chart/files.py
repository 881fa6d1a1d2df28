"""The files of the chart that are written: templates, values.yaml and values.schema.json, by their path in it."""

import json
import re
from typing import Any

import yaml

from deploy.k8s.chart import parts, text
from deploy.k8s.chart.parts import Template
from deploy.k8s.chart.placing import Defaults, place, with_maxmemory
from deploy.k8s.chart.schema import OBJECT, Schema
from deploy.k8s.chart.table import TABLE, Section
from deploy.k8s.chart.tree import Lines, When
from deploy.k8s.rules import prometheus_rule

COMMAND = "python -m deploy.k8s.chart"
_JOB = ("Job", "redis-cluster")
_WIDTH = 118


def files() -> dict[str, str]:
    """All of them. Raises ValueError where the manifests have something that the table or the templates do not know."""
    found = parts.templates()
    defaults = place(found)
    data = _data(found)
    written = {f"templates/{name}.yaml": _template(template) for name, template in found.items()}
    return {
        "values.yaml": _values(defaults),
        "values.schema.json": json.dumps(_schema(), indent=2) + "\n",
        "files/alerts.yaml": _alerts(),
        "templates/_data.tpl": data,
        **written,
    }


def _template(template: Template) -> str:
    of = " and ".join(f"deploy/k8s/{path}" for path in template.of)
    made = [f"# Made by `{COMMAND}` of {of}: change and read it there.\n"]
    for document in template.documents.values():
        inner, condition = (document.node, document.condition) if isinstance(document, When) else (document, "")
        lines = f"---\n{text.document(inner)}"
        made.append(f"{{{{- if {condition} }}}}\n{lines}{{{{- end }}}}\n" if condition else lines)
    whole = "".join(made)
    return f"{{{{- if {template.condition} }}}}\n{whole}{{{{- end }}}}\n" if template.condition else whole


def _data(found: parts.Templates) -> str:
    """What is in the ConfigMaps that are made of files, and are named after it; the documents get a call of it."""
    made = [f"{{{{- /* Made by `{COMMAND}` of what deploy/k8s/components has. */ -}}}}\n"]
    for template in ("redis", "redis-cluster", "couchdb"):
        for (kind, name), document in found[template].documents.items():
            if kind != "ConfigMap":
                continue
            define = f"campus.data.{template if name == 'redis' else name}"
            content = with_maxmemory(text.mapping(document["data"]))
            made.append(f'{{{{- define "{define}" -}}}}\n{content}{{{{- end }}}}\n')
            document["data"] = Lines(f'include "{define}" .')
    job = found["redis-cluster"].documents[_JOB]
    made.append(f'{{{{- define "campus.makes-redis-cluster" -}}}}\n{text.mapping(job["spec"])}{{{{- end }}}}\n')
    job["spec"] = Lines('include "campus.makes-redis-cluster" .')
    return "".join(made)


def _alerts() -> str:
    _, _, groups = prometheus_rule().partition("spec:\n")
    return f"# Made by `{COMMAND}` of deploy/observability/prometheus/rules: change them there.\n" + "".join(
        f"{line.removeprefix('  ')}\n" for line in groups.splitlines()
    )


def _values(defaults: Defaults) -> str:
    made = [f"# Made by `{COMMAND}`: change deploy/k8s/chart/table.py, or what is a default in deploy/k8s.\n"]
    for section in TABLE:
        made += ["\n", *_comment(section.says, 0), *_section(section, defaults)]
    return "".join(made)


def _section(section: Section, defaults: Defaults) -> list[str]:
    made = []
    said: list[str] = []
    for value in section.values:
        *way, _ = keys = value.path.split(".")
        for depth, key in enumerate(way):
            if ".".join(way[: depth + 1]) not in said:
                said.append(".".join(way[: depth + 1]))
                made.append(f"{'  ' * depth}{key}:\n")
        if value.says:
            made += _comment(value.says, len(way))
        dumped = yaml.safe_dump({keys[-1]: defaults[value.path]}, width=10**6, sort_keys=False)
        made += [f"{'  ' * len(way)}{line}\n" for line in dumped.splitlines()]
    return made


def _comment(says: str, depth: int) -> list[str]:
    words, lines, pad = says.split(" "), [""], "  " * depth
    for word in words:
        if len(pad) + len(lines[-1]) + len(word) + 3 > _WIDTH:
            lines.append("")
        lines[-1] += f" {word}"
    return [f"{pad}#{line}\n" for line in lines]


def _schema() -> Schema:
    whole: Schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart campus",
        **_mapping(),
    }
    for section in TABLE:
        for value in section.values:
            *way, last = value.path.split(".")
            holder = whole
            for key in way:
                holder = holder["properties"].setdefault(key, _mapping())
            schema: dict[str, Any] = dict(value.schema)
            if value.says:
                schema = {"description": re.sub(r"\s+", " ", value.says), **schema}
            holder["properties"][last] = schema
    # A chart that has this one among its own may give it something that is for all of them.
    whole["properties"]["global"] = OBJECT
    return whole


def _mapping() -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": {}}
