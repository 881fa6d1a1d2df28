"""Whose session it is: a user's, or of a client without one its address."""

from ipaddress import IPv6Address, ip_address, ip_network

HOST_BITS_V6 = 64
"""A household, or a phone, has a network of this size to itself, and takes another address of it every day."""


def owner_of(user: str, peer: str) -> str:
    """`u:` and the user's name; for an anonymous client `a:` and its address, of IPv6 the network (/64) of it.

    `peer` is the address of the client itself, as a proxy tells it; empty where there is none.
    """
    if user:
        return f"u:{user}"
    try:
        address = ip_address(peer)
    except ValueError:
        return f"a:{peer}"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return f"a:{address.ipv4_mapped}"
        return f"a:{ip_network((int(address), HOST_BITS_V6), strict=False)}"
    return f"a:{address}"
