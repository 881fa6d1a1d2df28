"""What runs, in which version, where, and how healthy: the platform knows. This reads it, and keeps nothing."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Protocol

from core.versions import APP_PATTERN, VERSION_PATTERN
from state.apps import Instance

MAX_INSTANCES = 200
"""Those beyond are not seen."""
_HIGHEST_PORT = 65_535
_YEAR_10000_MS = 253_402_300_800_000


class Registry(Protocol):
    """The platform on which applications run."""

    async def instances(self) -> list[Instance]:
        """Those that run, at most `MAX_INSTANCES`, in the order of their names. Raises UnavailableError."""
        ...


def usable(instances: Iterable[Instance]) -> list[Instance]:
    """Those whose names, address and port can be used, in the order of their names: anybody may label what he runs."""
    found = sorted((each for each in instances if _is_usable(each)), key=lambda each: (each.app, each.name))
    return found[:MAX_INSTANCES]


def _is_usable(instance: Instance) -> bool:
    # `ip_address` takes any scope of an IPv6 address, which HAProxy does not know.
    if "%" in instance.address or not 0 <= instance.since < _YEAR_10000_MS:
        return False
    try:
        ipaddress.ip_address(instance.address)
    except ValueError:
        return False
    return (
        re.fullmatch(APP_PATTERN, instance.app, re.ASCII) is not None
        and re.fullmatch(VERSION_PATTERN, instance.version, re.ASCII) is not None
        and 1 <= instance.port <= _HIGHEST_PORT
    )
