"""Base images on a machine that can reach no image registry: Debian by debootstrap, and what is needed on it.

`python -m tests.containers.base_images` makes them and prints their names as settings of the compose file.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import missing
from tests.containers.compose import compose
from tests.containers.engine import docker

SUITE = "bookworm"
SUITES = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
COMPONENT = "main"
IMAGES = Path(__file__).parent / "images"
NODE = Path(__file__).parents[1] / "node"
DOUBLE = NODE / "couchdb"
"""The double of CouchDB; it needs what NODE's lock file has."""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""Whom this machine trusts, a proxy for its packages with a certificate of its own included: so must the images."""
TRUSTED = "usr/local/share/trusted.pem"
"""Where they have it: not where the package ca-certificates, which Python's brings, would write it anew."""
TRUST = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
DEBOOTSTRAP_SECONDS = 300.0
BUILD_SECONDS = 1200.0
NAMES = ("python", "haproxy", "redis", "couchdb", "node")
NPM = "npm@10.9.2"
"""The newest that runs on the Node.js of the suite."""
_NEVER_UNPACKED = ("doc", "man", "info", "locale", "lintian", "bug")
_DPKG = "".join(f"path-exclude /usr/share/{name}/*\n" for name in _NEVER_UNPACKED)
_APT = """APT::Install-Recommends "0";
Acquire::Languages "none";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke {"rm -f /var/cache/apt/archives/*.deb";};
"""


@dataclass(frozen=True, slots=True)
class Archive:
    """One of the package archives of Debian that this machine uses."""

    address: str
    suite: str


def build_base_images(log: Path) -> dict[str, str]:
    """The images by name, in the form `repository:tag`; built if they are not there. Tools report to `log`.

    A tag is a hash of all that the image is made of, but for the packages' versions.
    """
    archives = debian_archives()
    base = f"campus-e2e/base:{_base_recipe(archives)}"
    if not _exists(base):
        with tempfile.TemporaryDirectory(prefix="debian-") as folder:
            _import_debian(Path(folder), archives, base, log)
    double = [(NODE / "package-lock.json").read_bytes(), *(file.read_bytes() for file in sorted(DOUBLE.glob("*.mjs")))]
    tags = {
        name: f"campus-e2e/{name}:"
        + _short_hash(
            base.encode(), (IMAGES / f"{name}.Dockerfile").read_bytes(), *(double if name == "couchdb" else [])
        )
        for name in NAMES
    }
    lacking = [name for name, tag in tags.items() if not _exists(tag)]
    if lacking:
        with (
            tempfile.TemporaryDirectory(prefix="node-modules-") as folder,
            tempfile.TemporaryDirectory(prefix="npm-") as npm,
        ):
            if "couchdb" in lacking:
                shutil.copytree(DOUBLE, Path(folder) / DOUBLE.name)
                _install_node_modules(Path(folder), log)
            if "node" in lacking:
                _npm("pack", NPM, "--silent", "--pack-destination", npm, log=log)
            environment = {
                **os.environ,
                **{f"{name.upper()}_TAG": tag for name, tag in tags.items()},
                "BASE": base,
                "IMAGES": str(IMAGES),
                "COUCHDB_CONTEXT": folder,
                "NODE_CONTEXT": npm,
            }
            compose("build", *lacking, folder=IMAGES, environment=environment, seconds=BUILD_SECONDS)
    return tags


def settings_of(images: Mapping[str, str]) -> dict[str, str]:
    """The variables by which the compose file is told of them."""
    return {
        "PYTHON_IMAGE": images["python"],
        "HAPROXY_IMAGE": images["haproxy"],
        "REDIS_IMAGE": images["redis"],
        # Debian 12's; what a later one knows besides, it can do without.
        "REDIS_VERSION": "7.0",
        "COUCHDB_IMAGE": images["couchdb"],
        "NODE_IMAGE": images["node"],
    }


def debian_archives() -> list[Archive]:
    """Where this machine gets Debian's packages from, the archive of the suite itself first."""
    if shutil.which("apt-get") is None or shutil.which("debootstrap") is None:
        missing("debootstrap", "apt install debootstrap, on a Debian whose packages can be had")
    found = _main_archives()
    if not found:
        # Without lists apt tells nothing; those of this machine stay as they are.
        with tempfile.TemporaryDirectory(prefix="apt-lists-") as folder:
            lists = ("-o", f"Dir::State::lists={folder}")
            subprocess.run(["apt-get", "update", "-qq", *lists], check=True, capture_output=True, timeout=120)
            found = _main_archives(*lists)
    ours = sorted(found, key=lambda archive: (archive.suite != SUITE, archive.suite, archive.address))
    if not ours or ours[0].suite != SUITE:
        missing(f"the archive of Debian {SUITE}", "this machine's apt knows it not: is it a Debian of that name?")
    return ours


def _main_archives(*options: str) -> set[Archive]:
    wanted = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", wanted, *options, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    rows = [row.split("|") for row in told.splitlines()]
    return {
        Archive(address, suite)
        for origin, address, suite, component in rows
        if origin == "Debian" and suite in SUITES and component == COMPONENT
    }


def _base_recipe(archives: list[Archive]) -> str:
    return _short_hash(
        Path(__file__).read_bytes(), *(repr(archive).encode() for archive in archives), CERTIFICATES.read_bytes()
    )


def _short_hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:12]


def _exists(tag: str) -> bool:
    return bool(docker("images", "--quiet", tag).strip())


def _import_debian(folder: Path, archives: list[Archive], tag: str, log: Path) -> None:
    if os.geteuid() != 0:
        missing("root", "debootstrap makes a root file system, with its owners")
    root = folder / "root"
    address = archives[0].address
    try:
        _run("debootstrap", "--variant=minbase", f"--keyring={KEYRING}", SUITE, str(root), address, log=log)
    finally:
        # One that was ended in the middle leaves them, and the folder's end would look into this machine's own.
        for mounted in ("proc", "sys"):
            subprocess.run(["umount", str(root / mounted)], capture_output=True, check=False, timeout=10)
    _make_slim(root)
    (root / "etc/apt/sources.list").write_text(
        "".join(f"deb {archive.address} {archive.suite} {COMPONENT}\n" for archive in archives)
    )
    shutil.copyfile(CERTIFICATES, root / TRUSTED)
    trust = " ".join(f"{name}=/{TRUSTED}" for name in TRUST)
    packed = folder / "root.tar"
    _run("tar", "--numeric-owner", "--exclude=./dev/*", "-C", str(root), "-cf", str(packed), ".", log=log)
    docker("import", "--change", f"ENV {trust}", "--change", 'CMD ["bash"]', str(packed), tag, seconds=120)


def _make_slim(root: Path) -> None:
    """What slim images leave out: documentation, translations, what apt has downloaded."""
    for name in _NEVER_UNPACKED:
        shutil.rmtree(root / "usr/share" / name, ignore_errors=True)
    for folder in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
        for leftover in (root / folder).iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(_DPKG)
    (root / "etc/apt/apt.conf.d/slim").write_text(_APT)


def _install_node_modules(folder: Path, log: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(NODE / name, folder / name)
    # With what is optional: databases on disk need leveldown, whose package carries it compiled.
    _npm("ci", "--include=optional", "--silent", "--prefix", str(folder), log=log)


def _npm(*arguments: str, log: Path) -> None:
    if shutil.which("npm") is None:
        missing("npm", "apt install npm")
    _run("npm", *arguments, log=log)


def _run(*command: str, log: Path) -> None:
    with log.open("ab") as output:
        done = subprocess.run(command, stdout=output, stderr=output, check=False, timeout=DEBOOTSTRAP_SECONDS)
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
    assert done.returncode == 0, f"{command[0]} ended with exit code {done.returncode}:\n" + "\n".join(tail)


if __name__ == "__main__":
    with tempfile.NamedTemporaryFile(suffix=".log") as file:
        for variable, image in settings_of(build_base_images(Path(file.name))).items():
            sys.stdout.write(f"{variable}={image}\n")
