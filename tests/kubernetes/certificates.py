"""An authority of a cluster's own, and what it signs: who each part and each person is."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2")
_CONFIGURATION = """\
[req]
distinguished_name = name
prompt = no
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, digitalSignature
[leaf]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth, clientAuth
{names}
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates into `folder`. Kubernetes takes the name as the user, organizations as groups."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.pair = self._make("authority", "/CN=a cluster of the tests", "authority")

    def issue(self, name: str, user: str, *, groups: Sequence[str] = (), names: Sequence[str] = ()) -> Pair:
        """A pair of files called `name`; `names` are those of a server: `DNS:localhost`, `IP:127.0.0.1`."""
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        signed = ("-CA", str(self.pair.certificate), "-CAkey", str(self.pair.key))
        return self._make(name, subject, "leaf", *signed, names=names)

    def kubeconfig(self, name: str, server: str, user: str, *, groups: Sequence[str] = ()) -> Path:
        """A file by which kubectl, or a part of the cluster, is `user` at the API server with the URL `server`."""
        pair = self.issue(name, user, groups=groups)
        path = self._folder / f"{name}.kubeconfig"
        # JSON is YAML.
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [
                        {
                            "name": "tests",
                            "cluster": {"server": server, "certificate-authority": str(self.pair.certificate)},
                        }
                    ],
                    "users": [
                        {
                            "name": user,
                            "user": {"client-certificate": str(pair.certificate), "client-key": str(pair.key)},
                        }
                    ],
                    "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user}}],
                    "current-context": "tests",
                }
            )
        )
        return path

    def _make(self, name: str, subject: str, section: str, *more: str, names: Sequence[str] = ()) -> Pair:
        made = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        configuration = self._folder / f"{name}.cnf"
        also = f"subjectAltName = {', '.join(names)}" if names else ""
        configuration.write_text(_CONFIGURATION.format(names=also))
        command: list[str | Path] = ["openssl", "req", "-x509", "-config", configuration, "-extensions", section]
        command += [*_CURVE, *more, "-subj", subject, "-out", made.certificate, "-keyout", made.key]
        subprocess.run(command, check=True, capture_output=True)
        return made
