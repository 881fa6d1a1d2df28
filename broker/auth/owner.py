"""Whose session it is: a user's, or of a client without one its address."""

from runtime.addresses import network_of


def owner_of(user: str, peer: str) -> str:
    """`u:` and the user's name; for an anonymous client `a:` and its address, of IPv6 the network (/64) of it.

    `peer` is the address of the client itself, as a proxy tells it; empty where there is none.
    """
    return f"u:{user}" if user else f"a:{network_of(peer)}"
