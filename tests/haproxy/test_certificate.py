import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from tests.haproxy.conftest import CERTIFICATE
from tests.haproxy.test_configurations import check

MADE = ("ca.key", "ca.pem", "server.pem")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # Nothing but a PATH: no home, no configuration of openssl.
    return subprocess.run(
        [CERTIFICATE, *arguments], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )


def make(*arguments: str | Path) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")


def openssl(*arguments: str | Path) -> str:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False).stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in MADE}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "new folder"


def test_what_it_makes_is_trusted_under_its_names_and_others_cannot_read_it(folder: Path) -> None:
    make(folder, "mqtt.example.org", "10.0.0.5", "2001:db8::1")
    assert sorted(path.name for path in folder.iterdir()) == sorted(MADE)
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in MADE}
    assert modes == {"ca.key": 0o600, "ca.pem": 0o644, "server.pem": 0o600}
    verify: list[str | Path] = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", folder / "ca.pem"]
    for name in ("localhost", "haproxy", "mqtt.example.org"):
        assert openssl(*verify, "-verify_hostname", name, folder / "server.pem").endswith(": OK\n")
    for address in ("127.0.0.1", "::1", "10.0.0.5", "2001:db8::1"):
        assert openssl(*verify, "-verify_ip", address, folder / "server.pem").endswith(": OK\n")
    assert "OK" not in openssl(*verify, "-verify_hostname", "example.org", folder / "server.pem")


def test_haproxy_takes_it(folder: Path) -> None:
    make(folder)
    assert check({"TLS_CERTIFICATE": str(folder / "server.pem")}) == (0, "")


def test_a_second_time_it_changes_nothing(folder: Path) -> None:
    make(folder, "mqtt.example.org")
    before = contents(folder)
    make(folder, "mqtt.example.org")
    make(folder)
    assert contents(folder) == before


def test_a_new_name_is_added_by_the_same_authority(folder: Path) -> None:
    make(folder)
    before = contents(folder)
    make(folder, "mqtt.example.org")
    after = contents(folder)
    assert after["ca.pem"] == before["ca.pem"]
    assert "mqtt.example.org" in openssl("x509", "-in", folder / "server.pem", "-noout", "-text")


@pytest.mark.parametrize(("days", "renewed"), [("29", True), ("31", False)])
def test_it_is_renewed_in_its_last_thirty_days(folder: Path, days: str, *, renewed: bool) -> None:
    make(folder)
    names = "subjectAltName=DNS:localhost,DNS:haproxy,IP:127.0.0.1,IP:::1"
    request, extensions = folder.parent / "request", folder.parent / "extensions"
    extensions.write_text(names)
    key = folder.parent / "key"
    openssl("req", "-new", "-newkey", "rsa:2048", "-noenc", "-keyout", key, "-subj", "/CN=localhost", "-out", request)
    authority: list[str | Path] = ["-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-extfile", extensions]
    (folder / "server.pem").write_text(openssl("x509", "-req", "-in", request, "-days", days, *authority))
    before = contents(folder)
    make(folder)
    assert (contents(folder) != before) is renewed
    assert contents(folder)["ca.pem"] == before["ca.pem"]


def test_a_certificate_of_ones_own_is_left_alone(folder: Path) -> None:
    folder.mkdir()
    made: list[str | Path] = ["-keyout", folder / "key", "-out", folder / "server.pem", "-days", "1"]
    openssl("req", "-x509", "-newkey", "rsa:2048", "-noenc", "-subj", "/CN=mqtt.example.org", *made)
    before = (folder / "server.pem").read_bytes()
    assert "left as it is" in run(folder).stdout
    assert (folder / "server.pem").read_bytes() == before
    assert not (folder / "ca.pem").exists()


def test_an_authority_of_ones_own_is_not_written_over(folder: Path) -> None:
    folder.mkdir()
    (folder / "ca.pem").write_text("mine")
    done = run(folder)
    assert done.returncode == 2
    assert "was not made here" in done.stderr
    assert (folder / "ca.pem").read_text() == "mine"
    assert not (folder / "server.pem").exists()


def test_the_mode_is_as_told(folder: Path) -> None:
    make("--mode", "0440", "--owner", f"{os.getuid()}:{os.getgid()}", folder)
    assert stat.S_IMODE((folder / "server.pem").stat().st_mode) == 0o440


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "in which folder"),
        (["--unknown", "x"], "no such option"),
        (["--mode"], "needs a mode"),
        (["folder", "a,DNS:evil.example"], "neither a host name nor an address"),
        (["folder", "a b"], "neither a host name nor an address"),
    ],
)
def test_what_it_does_not_understand_it_says(arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_help_says_how_to_use_what_it_makes() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert re.search(r"--cafile FOLDER/ca.pem", done.stdout)
