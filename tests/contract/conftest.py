"""The servers that the contract tests of the stores run against."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import WAIT_SECONDS, eventually, free_port, missing

POUCHDB = Path(__file__).parents[1] / "node" / "node_modules" / ".bin" / "pouchdb-server"


@pytest.fixture(scope="session")
def cloudant_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that leads to a server with the HTTP API of Cloudant.

    That is the one that CLOUDANT_URL names, if it is set; else a pouchdb-server of this worker's own, in memory.
    """
    given = {name: value for name, value in os.environ.items() if name.startswith("CLOUDANT_")}
    if "CLOUDANT_URL" in given:
        yield given
        return
    if not (POUCHDB.exists() and shutil.which("node")):
        missing("pouchdb-server", "install Node.js, then: npm ci --prefix tests/node")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # It writes its configuration and its log into the working directory.
    folder = tmp_path_factory.mktemp("pouchdb")
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [POUCHDB, "--in-memory", "--no-stdout-logs", "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    async def answers() -> bool:
        if process.poll() is not None:
            pytest.fail(f"pouchdb-server did not start: {(folder / 'output.txt').read_text()}")
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return "express-pouchdb" in (await client.get(url)).text
        except httpx.TransportError:
            return False

    try:
        asyncio.run(eventually(answers))
        yield {"CLOUDANT_URL": url, "CLOUDANT_AUTH_TYPE": "NOAUTH"}
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)
