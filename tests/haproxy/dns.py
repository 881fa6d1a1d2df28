"""As much of a DNS server as HAProxy and services ask for: the IPv4 addresses of names."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

HEADER_BYTES = 12
A, IN = 1, 1
NAME_ERROR = 3


class FakeDns(asyncio.DatagramProtocol):
    """Answers as the test says: with addresses, that there is no such name, or not at all."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.named: dict[str, list[str]] = {}
        """Names that have others."""
        self.silent = False
        self.late = 0.0
        """Seconds after which it answers."""
        self.asked = self.answered = 0
        self._transport: asyncio.DatagramTransport

    @property
    def address(self) -> str:
        """Where it listens, as DNS_ADDR has it."""
        host, port = self._transport.get_extra_info("sockname")
        return f"{host}:{port}"

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override] # of datagrams
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """One question: RFC 1035, 4.1."""
        self.asked += 1
        if self.silent:
            return
        end, labels = HEADER_BYTES, []
        while data[end]:
            labels.append(data[end + 1 : end + 1 + data[end]].decode())
            end += 1 + data[end]
        known = self.named.get(".".join(labels), self.addresses)
        question = data[HEADER_BYTES : end + 5]
        kind = int.from_bytes(data[end + 1 : end + 3])
        addresses = known if kind == A else []
        flags = 0x8180 | (0 if known else NAME_ERROR)
        header = data[:2] + b"".join(value.to_bytes(2) for value in (flags, 1, len(addresses), 0, 0))
        answers = [
            b"\xc0\x0c"
            + A.to_bytes(2)
            + IN.to_bytes(2)
            + (1).to_bytes(4)
            + (4).to_bytes(2)
            + IPv4Address(address).packed
            for address in addresses
        ]
        asyncio.get_running_loop().call_later(self.late, self._answer, header + question + b"".join(answers), addr)

    def _answer(self, message: bytes, addr: tuple[str, int]) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(message, addr)
            self.answered += 1


@asynccontextmanager
async def fake_dns(*addresses: str, port: int = 0) -> AsyncIterator[FakeDns]:
    """A server that knows these addresses to begin with; on a port that is free, or this one."""
    server = FakeDns(*addresses)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, ("127.0.0.1", port))
    try:
        yield server
    finally:
        transport.close()
