"""The API in its next version beside the present one: `kubectl kustomize OVERLAY | python -m deploy.k8s.next_version`.

Prints a Deployment and a Service `api-next` that are like those of `api`, and what lets them through the network: a
copy of each policy that names `api`, with `api-next` in its place, for policies add up. HAProxy finds it by
API_NEXT_FQDN, and gives it the people that the rule of the application `api` says. It fails where people come to `api`
past HAProxy, for then nobody would get `api-next`. Of Python the standard library alone, as `deploy.k8s.render`.
"""

import re
import sys
from typing import Final

_BETWEEN: Final = re.compile(r"^---\n", re.MULTILINE)
_KIND: Final = re.compile(r"^kind: (\w+)$", re.MULTILINE)
_NAME: Final = re.compile(r"(?<=\n  name: )(\S+)$", re.MULTILINE)
"""Of the document itself: kustomize writes `metadata` with two blanks, and what is deeper with more."""
_SELECTED: Final = re.compile(r"(?<=app\.kubernetes\.io/name: )api$", re.MULTILINE)
_AMONG: Final = re.compile(r"^( +- )api$", re.MULTILINE)
"""In the values of a selector."""
_TO_THE_API: Final = re.compile(r"^ {4,}(?:- )?name: api$", re.MULTILINE)
"""A Service that an Ingress or a route sends to: deeper than the document's own name and its Gateways."""
_VERSION: Final = re.compile(r"(?<=campus\.version: )current$", re.MULTILINE)


def next_version(rendered: str) -> str:
    """The documents of `api-next`, of those that kustomize has rendered. Raises ValueError where there is no API."""
    found = []
    made = set()
    for document in _BETWEEN.split(rendered):
        kind, name = _KIND.search(document), _NAME.search(document)
        if kind is None or name is None:
            continue
        if kind[1] in {"Deployment", "Service"} and name[1] == "api":
            made.add(kind[1])
            found.append(_next(document))
        elif kind[1] == "NetworkPolicy" and (_SELECTED.search(document) or _AMONG.search(document)):
            found.append(_AMONG.sub(r"\g<1>api-next", _next(document)))
    if made != {"Deployment", "Service"}:
        raise ValueError("there is no Deployment and Service api")
    return "---\n".join(found)


def past_haproxy(rendered: str) -> list[str]:
    """What leads people to the Service `api` without HAProxy between, as `Ingress api`.

    HAProxy shares out, and counts, only what comes by way of it.
    """
    found = []
    for document in _BETWEEN.split(rendered):
        kind, name = _KIND.search(document), _NAME.search(document)
        if kind and name and kind[1] in {"Ingress", "HTTPRoute"} and _TO_THE_API.search(document):
            found.append(f"{kind[1]} {name[1]}")
    return found


def _next(document: str) -> str:
    named = _NAME.sub(r"\g<1>-next", document, count=1)
    return _VERSION.sub("next", _SELECTED.sub("api-next", named))


def main() -> None:
    """Print them."""
    rendered = sys.stdin.read()
    if past := past_haproxy(rendered):
        sys.exit(
            f"a canary cannot work here: {', '.join(past)} sends people to the Service api past HAProxy, "
            "which has to share them out and to count answers. Deploy with apply, "
            "or lead these paths to HAProxy (docs/pipeline.md)"
        )
    try:
        sys.stdout.write(next_version(rendered))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
