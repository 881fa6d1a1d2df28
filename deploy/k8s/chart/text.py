"""Templates as text, of documents with decisions in them."""

from collections.abc import Iterator

import yaml

from deploy.k8s.chart.tree import Each, Either, Hole, Lines, Node, When, With


def document(node: Node) -> str:
    """A document of a template, with a newline at its end."""
    return "".join(f"{line}\n" for key, value in node.items() for line in _entry(key, value, 0))


def mapping(node: Node) -> str:
    """The lines of a mapping that is no document by itself."""
    return document(node)


def _entry(key: str, value: Node, indent: int) -> Iterator[str]:
    pad = " " * indent
    match value:
        case When(condition, node):
            yield f"{pad}{{{{- if {condition} }}}}"
            yield from _entry(key, node, indent)
            yield f"{pad}{{{{- end }}}}"
        case Either(condition, node, otherwise):
            yield f"{pad}{{{{- if {condition} }}}}"
            yield from _entry(key, node, indent)
            yield f"{pad}{{{{- else }}}}"
            yield from _entry(key, otherwise, indent)
            yield f"{pad}{{{{- end }}}}"
        case With(path):
            yield f"{pad}{{{{- with .Values.{path} }}}}"
            yield f"{pad}{key}:"
            yield f"{pad}  {{{{- toYaml . | nindent {indent + 2} }}}}"
            yield f"{pad}{{{{- end }}}}"
        case Lines(expression, rest):
            yield f"{pad}{key}:"
            yield f"{pad}  {{{{- {expression} | nindent {indent + 2} }}}}"
            for name, inner in (rest or {}).items():
                yield from _entry(name, inner, indent + 2)
        case dict() if value:
            yield f"{pad}{key}:"
            for name, inner in value.items():
                yield from _entry(name, inner, indent + 2)
        case list() if value:
            yield f"{pad}{key}:"
            for item in value:
                yield from _item(item, indent)
        case _:
            yield from _scalar(f"{pad}{_quoted(key)}:", value, indent)


def _item(value: Node, indent: int) -> Iterator[str]:
    pad = " " * indent
    match value:
        case When(condition, node):
            yield f"{pad}{{{{- if {condition} }}}}"
            yield from _item(node, indent)
            yield f"{pad}{{{{- end }}}}"
        case Each(loop, node):
            yield f"{pad}{{{{- range {loop} }}}}"
            yield from _item(node, indent)
            yield f"{pad}{{{{- end }}}}"
        case dict() if value:
            lines = [line for key, inner in value.items() for line in _entry(key, inner, indent + 2)]
            if lines[0].lstrip().startswith("{{-"):
                raise ValueError(f"an item begins with a condition: {lines[0]}")
            yield f"{pad}- {lines[0].lstrip()}"
            yield from lines[1:]
        case _:
            yield from _scalar(f"{pad}-", value, indent)


def _scalar(before: str, value: Node, indent: int) -> Iterator[str]:
    if isinstance(value, Hole):
        yield f"{before} {{{{ {value.expression} }}}}"
    elif isinstance(value, str) and "\n" in value:
        text = value.removesuffix("\n")
        if text.startswith((" ", "\n")) or text.endswith("\n"):
            raise ValueError(f"a text with blanks around it: {value!r}")
        yield f"{before} |" if value.endswith("\n") else f"{before} |-"
        for line in text.split("\n"):
            yield f"{' ' * (indent + 2)}{_literal(line)}" if line else ""
    else:
        yield f"{before} {_literal(_quoted(value))}"


def _quoted(value: Node) -> str:
    made: str = yaml.safe_dump(value, width=10**6, allow_unicode=True, default_flow_style=True)
    return made.removesuffix("\n").removesuffix("\n...")


def _literal(text: str) -> str:
    """A text in which Helm sees no expression."""
    return text.replace("{{", '{{ "{{" }}')
