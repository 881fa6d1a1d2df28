"""Who a simulated device says it is."""

import ipaddress
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
    gateways = [user for user in kept_demo_users(data_dir) if user.role == Role.GATEWAY.name] if _is_here(host) else []
    return [*(Login(user.name, user.password) for user in gateways[:1]), Login()]


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
