"""An overlay for `kubectl apply`, as often as one likes: `python -m deploy.k8s.render OVERLAY | kubectl apply -f -`.

A Job cannot be changed once it is there, so each has eight digits of the hash of its content in its name: another image
or another setting makes another Job, and what is as it was is left alone. Jobs that have ended go by themselves, ten
minutes later (`ttlSecondsAfterFinished`). `-` in place of the overlay reads what kustomize has rendered. Needs kubectl
1.27 or later, and of Python the standard library alone: `.github/release/apply` runs it where nothing is installed.
"""

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path

_BETWEEN = re.compile(r"^---\n", re.MULTILINE)
_JOB = re.compile(r"^kind: Job$", re.MULTILINE)
_NAME = re.compile(r"(?<=\n  name: )\S+$", re.MULTILINE)
"""Of the document itself: kustomize writes `metadata` with two blanks, and what is deeper with more."""
_METADATA = re.compile(r"^metadata:\n(?:  .*\n)+", re.MULTILINE)
_SPEC = re.compile(r"^spec:\n(?:[ -].*\n?)+", re.MULTILINE)
_DIGITS = 8


def with_named_jobs(rendered: str) -> str:
    """The same documents, as kustomize writes them, with the hash of its content at the end of each Job's name."""
    documents = _BETWEEN.split(rendered)
    return "---\n".join(_named(document) if _JOB.search(document) else document for document in documents)


def _named(job: str) -> str:
    metadata, spec = _METADATA.search(job), _SPEC.search(job)
    if metadata is None or spec is None:
        raise ValueError(f"no Job as kustomize writes one:\n{job}")
    digest = hashlib.sha256(spec[0].strip().encode()).hexdigest()[:_DIGITS]
    named, count = _NAME.subn(lambda name: f"{name[0]}-{digest}", metadata[0])
    if count != 1:
        raise ValueError(f"no Job as kustomize writes one:\n{job}")
    return job.replace(metadata[0], named, 1)


def kubectl() -> str:
    """That of `make kubectl`, where this runs in its environment; else that of the PATH."""
    beside = Path(sys.executable).with_name("kubectl")
    return str(beside) if sys.prefix != sys.base_prefix and beside.exists() else "kubectl"


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(prog="python -m deploy.k8s.render", description="An overlay for kubectl apply.")
    parser.add_argument("overlay", help="a folder, such as deploy/k8s/overlays/local; - for what was rendered already")
    overlay = parser.parse_args().overlay
    if overlay == "-":
        rendered = sys.stdin.read()
    else:
        command = [kubectl(), "kustomize", overlay]
        made = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - no shell
        if made.returncode:
            sys.exit(made.returncode)
        rendered = made.stdout
    sys.stdout.write(with_named_jobs(rendered))


if __name__ == "__main__":
    main()
