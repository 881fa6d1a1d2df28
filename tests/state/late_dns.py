"""A node whose Redis has a name, where DNS answers late: `python -m tests.state.late_dns FOLDER`.

To be run in network and mount namespaces of its own (`unshare --net --mount`): it names its DNS in /etc/resolv.conf.
The node's log is `node.log` in the folder.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.broker.processes import NodeProcess
from tests.conftest import eventually, redis_executable
from tests.haproxy.dns import fake_dns

DNS_PORT = 53
GIVEN_UP_SECONDS = 0.3
LATE_SECONDS = 1.5
NODE = {
    "BROKER_NODE": "node",
    "BROKER_PORT": "18831",
    "OPS_PORT": "18841",
    "MQTT_ALLOW_ANONYMOUS": "1",
    "REDIS_URL": f"redis://redis.campus.test/?socket_connect_timeout={GIVEN_UP_SECONDS}",
}


def name_dns(folder: Path) -> None:
    """Have the resolver of this network ask 127.0.0.1."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    resolv = folder / "resolv.conf"
    # One question, and no other ways to write the name.
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:10 attempts:1 ndots:0\n")
    subprocess.run(["mount", "--bind", resolv, "/etc/resolv.conf"], check=True)


async def main(folder: Path) -> None:
    """Start a node and a Redis; let DNS say late that there is no such name, and then where it is."""
    redis = [redis_executable(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir", str(folder)]
    server = await asyncio.create_subprocess_exec(*redis, stdout=subprocess.DEVNULL)
    node = NodeProcess(NODE, folder)
    async with fake_dns(port=DNS_PORT) as dns:
        dns.late = LATE_SECONDS

        async def was_late() -> bool:
            # Of IPv4 and IPv6: so often that some were given up long ago.
            return dns.answered >= 6

        try:
            await node.start()
            await eventually(was_late)
            dns.addresses, dns.late = ["127.0.0.1"], 0.0
            await node.until_ready()
            code = await node.stop()
        finally:
            await node.leave_nothing()
            server.kill()
            await server.wait()
    assert code == 0, node.told()


if __name__ == "__main__":
    name_dns(Path(sys.argv[1]))
    asyncio.run(main(Path(sys.argv[1])))
