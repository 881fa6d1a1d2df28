"""Which addresses count as one client, for limits that hold before anybody has said who they are."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

NETWORK_BITS = 64
"""Of an IPv6 address: one subscriber has at least a /64, and all of its addresses at will (RFC 6177)."""


@lru_cache(4096)
def network_of(address: str) -> str:
    """An IPv4 address as it is, the /64 of an IPv6 one; what is no address counts as itself.

    An IPv4 address that is written as one of IPv6 (::ffff:192.0.2.1) is that IPv4 address.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    shift = 128 - NETWORK_BITS
    return f"{IPv6Address(int(parsed) >> shift << shift)}/{NETWORK_BITS}"
