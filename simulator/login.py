"""Who a simulated device says it is."""

import ipaddress
import socket
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from core.kinds import Role
from runtime.demo_users import kept_demo_users


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and its password; both None for an anonymous client."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)


def logins_without_a_user(host: str, data_dir: Path) -> list[Login]:
    """What to try, one after another, where nobody has named a user.

    On this machine that is the demo gateway, who may speak for any device, if `make run` has made one in `data_dir`;
    and then no user, since DATA_DIR may be that of another run. To other machines its password never goes.
    """
    gateways = [user for user in kept_demo_users(data_dir) if user.role == Role.GATEWAY.name] if is_here(host) else []
    return [*(Login(user.name, user.password) for user in gateways[:1]), Login()]


def is_here(host: str) -> bool:
    """Whether it is this machine, by one of its addresses or as `localhost`; no other name is looked up."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or _is_own(address)


def _is_own(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    # Nobody can listen at the address of another machine, unless the kernel was told so (ip_nonlocal_bind).
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return not address.is_multicast
