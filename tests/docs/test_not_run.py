"""Each command of the page on IBM Cloud says that it was not run, or which test runs it."""

import re
from collections.abc import Iterator

import pytest

from tests.docs.tree import ROOT

PAGE = ROOT / "docs" / "deploy-ibm-cloud.md"
MARK = re.compile(r"\((?:not run|tests/[\w/]+\.py)[^)]*\)")
FENCE = re.compile(r"^( *)```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:ibmcloud|kubectl|helm|certbot|git|cp|terraform)\s[^`]*)`(.{0,80})", re.DOTALL)
NEEDS_NONE = re.compile(r"(?:(?:cd|umask|export) [^;|$(]*;? ?)+|[A-Z_]+=[^$;|]*")
"""What runs nothing: another folder, a value that is written down."""


def commands(block: str) -> Iterator[str]:
    """The commands of a block: with all their lines, and with the mark above that holds up to the next blank line."""
    above, lines, loop = "", list[str](), False
    for line in block.split("\n"):
        if not line.strip():
            above = ""
        elif line.lstrip().startswith("#") and not lines:
            above = line if MARK.search(line) else above
        else:
            lines.append(line)
            loop = (loop or line.startswith("for ")) and not line.startswith("done")
            if not loop and not line.rstrip().endswith(("\\", "|")):
                yield "\n".join(lines) + above
                lines = []
    assert not lines, f"a command without an end: {lines}"


def unmarked(text: str) -> list[str]:
    """The commands that say nothing of themselves."""
    found = [
        command
        for _, block in FENCE.findall(text)
        for command in commands(block)
        if not MARK.search(command) and not NEEDS_NONE.fullmatch(command.split(" #")[0].strip())
    ]
    prose = FENCE.sub("", text)
    return found + [command for command, after in INLINE.findall(prose) if not MARK.match(after.lstrip())]


def test_each_command_says_whether_it_was_run() -> None:
    text = PAGE.read_text()
    assert sum(len(list(commands(block))) for _, block in FENCE.findall(text)) > 60
    assert unmarked(text) == []


def test_each_test_that_is_named_is_there() -> None:
    named = {name for mark in MARK.findall(PAGE.read_text()) for name in re.findall(r"tests/[\w/]+\.py", mark)}
    assert {"tests/deploy/test_ibm_secrets.py", "tests/kubernetes/test_apply.py"} <= named
    for name in named:
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```sh\nibmcloud login\n```", ["ibmcloud login"]),
        ("```sh\nibmcloud login  # (not run)\n```", []),
        ("```sh\nkubectl get \\\n  nodes\n```", ["kubectl get \\\n  nodes"]),
        ("```sh\nkubectl get \\\n  nodes   # all of them (not run)\n```", []),
        ("```sh\n# (not run)\njq a\njq b\n\njq c\n```", ["jq c"]),
        ("```sh\n# a word\njq a\n```", ["jq a"]),
        ("```sh\nfor a in b; do\n  c\ndone  # (not run)\n```", []),
        ("```sh\ncd there\nNAME=value\n```", []),
        ("```sh\nVPC=$(ibmcloud is vpcs)\n```", ["VPC=$(ibmcloud is vpcs)"]),
        ("First `kubectl get nodes`, then wait.", ["kubectl get nodes"]),
        ("First `kubectl get nodes` (not run), then wait for `kubectl`.", []),
        ("```sh\npython -m deploy.smoke  # (tests/deploy/test_smoke.py)\n```", []),
    ],
)
def test_a_command_without_a_mark_is_found(text: str, found: list[str]) -> None:
    assert unmarked(text) == found
