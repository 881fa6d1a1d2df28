"""What a client's address counts as, where clients are told apart by it."""

from starlette.types import Scope

from runtime.addresses import network_of


def address_of(scope: Scope) -> str:
    """What the address of a client counts as: IPv6 by /64. Empty where nobody knows it."""
    client = scope.get("client")
    return network_of(client[0]) if client else ""
