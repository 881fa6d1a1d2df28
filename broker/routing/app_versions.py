"""Which version of an application a client gets, chosen when something is delivered.

An application publishes below `app-versions/{app}/{version}/`; clients see what their version publishes below
`apps/{app}/`. What is stored, of subscriptions, routes and queues, stays as it is: so wildcards work, and a change of a
rule needs nobody to subscribe again.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from core.kinds import Role
from core.versions import PUBLIC, WIRE, Route

WIRE_PREFIX: Final = f"{WIRE}/"
MAX_REMEMBERED = 4096
"""Clients of whom it is remembered what the rules choose for them."""
_ALL: Mapping[str, str] = MappingProxyType({})


class AppVersions:
    """The rules that hold, as one node knows them; none before the first `replace`."""

    def __init__(self) -> None:
        self._routes: Mapping[str, Route] = {}
        self._chosen: dict[tuple[str, str], Mapping[str, str]] = {}

    def replace(self, routes: Mapping[str, Route]) -> set[str]:
        """Let these rules hold instead; the applications of which another one holds now."""
        old, self._routes = self._routes, dict(routes)
        self._chosen.clear()
        return {app for app in {*old, *routes} if old.get(app) != routes.get(app)}

    def chosen(self, person: str, role: Role) -> Mapping[str, str]:
        """The version by application. Of an application without a rule all versions are for everybody."""
        if not self._routes:
            return _ALL
        known = self._chosen.get((role.name, person))
        if known is None:
            # Over HTTP, where nobody has logged in, there is no role either: the two have to agree.
            named = "" if role is Role.ANONYMOUS else role.name
            known = {app: route.version_for(person, role=named) for app, route in self._routes.items()}
            if len(self._chosen) >= MAX_REMEMBERED:
                self._chosen.clear()
            self._chosen[role.name, person] = known
        return known

    def is_for(self, app: str, version: str, person: str, role: Role) -> bool:
        """Whether a client gets what this version publishes."""
        return self.chosen(person, role).get(app, version) == version

    def wire_filter(self, topic_filter: str, person: str, role: Role) -> str | None:
        """What an application publishes below it that a filter for `apps` may match, for what is retained.

        None where a filter matches no topic below `apps`. Where it names the application, and a rule holds, the answer
        names the version; else it may match other versions, too (`is_for`).
        """
        first, *rest = topic_filter.split("/")
        if first == "#" or (first in (PUBLIC, "+") and rest[:1] == ["#"]):
            return f"{WIRE_PREFIX}#"
        if first not in (PUBLIC, "+") or len(rest) < 2:  # noqa: PLR2004 - an application, and what is below it
            return None
        version = self.chosen(person, role).get(rest[0], "+")
        return "/".join((WIRE, rest[0], version, *rest[1:]))


def wire_filters(filters: Mapping[str, int], role: Role) -> list[str]:
    """Those of a client's topic filters that match topics as applications publish to them, which services alone get."""
    if role is not Role.SERVICE:
        return []
    return [each for each in filters if each[0] in "+#" or each.partition("/")[0] == WIRE]
