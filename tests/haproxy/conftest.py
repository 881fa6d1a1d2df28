"""Two nodes, certificates, and HAProxy in front with the environment that a test needs."""

import shutil
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.haproxy.nodes import FakeNode, NodePorts, fake_node
from tests.haproxy.running import Proxy, haproxy, two_fixed_nodes

CERTIFICATE = Path(__file__).parents[2] / "haproxy" / "certificate"
StartProxy = Callable[..., Awaitable[Proxy]]


@dataclass(frozen=True, slots=True)
class Certificates:
    """A server's, and two authorities that sign those of clients; HAProxy trusts the first."""

    folder: Path

    @property
    def server(self) -> dict[str, str]:
        """The environment with which HAProxy speaks TLS."""
        return {"TLS_CERTIFICATE": str(self.folder / "server.pem")}

    def clients(self, verify: str) -> dict[str, str]:
        """The environment with which it also looks at the certificates of clients."""
        return self.server | {"TLS_CLIENT_CA": str(self.folder / "trusted.pem"), "TLS_CLIENT_VERIFY": verify}

    def context(self, client: str = "") -> ssl.SSLContext:
        """What a client needs; `client` names whose certificate it shows."""
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if client:
            context.load_cert_chain(self.folder / f"{client}.pem")
        return context


@pytest.fixture(scope="session")
def certificates() -> Iterator[Certificates]:
    if not shutil.which("openssl"):
        missing("openssl", "install Debian's openssl")
    with tempfile.TemporaryDirectory(prefix="campus-tls-") as name:
        folder = Path(name)
        subprocess.run([CERTIFICATE, folder], check=True, stdout=subprocess.DEVNULL)
        for authority in ("trusted", "unknown"):
            client = folder / f"{authority}.pem"
            made: list[str | Path] = [
                "-keyout",
                folder / "key",
                "-out",
                client,
                "-subj",
                f"/CN={authority}",
                "-days",
                "2",
            ]
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", *made],
                check=True,
                stderr=subprocess.DEVNULL,
            )
            client.write_text(client.read_text() + (folder / "key").read_text())
        yield Certificates(folder)


@pytest.fixture
def ports() -> NodePorts:
    return NodePorts()


@pytest.fixture
async def nodes(ports: NodePorts) -> AsyncIterator[tuple[FakeNode, FakeNode]]:
    async with fake_node("127.0.1.1", ports) as first, fake_node("127.0.1.2", ports) as second:
        yield first, second


@pytest.fixture
async def start(ports: NodePorts) -> AsyncIterator[StartProxy]:
    """Starts HAProxy with the given environment."""
    async with AsyncExitStack() as stack:

        async def started(**environment: str) -> Proxy:
            # Not under pytest's folders: the path of a socket may have 107 bytes at the most.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campus-haproxy-")))
            api = {"API_HOST": "127.0.1.1", "API_PORT": str(ports.ops)}
            return await stack.enter_async_context(haproxy(folder, api | environment))

        yield started


@pytest.fixture
async def in_front(start: StartProxy, nodes: tuple[FakeNode, FakeNode], ports: NodePorts) -> StartProxy:
    """Starts HAProxy before the two nodes and the API, which it takes to be up until it has looked."""

    async def started(**environment: str) -> Proxy:
        return await start(**two_fixed_nodes(nodes, ports), **environment)

    return started
