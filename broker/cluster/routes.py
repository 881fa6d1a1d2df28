"""What other nodes and persistent sessions want: a replica of the hash `routes`, kept up to date from its log."""

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from broker.cluster.filters import FilterTable, Match
from broker.cluster.identity import Identity
from broker.protocol.topics import must_be_named
from core.kinds import Kinds
from core.versions import WIRE, public_name
from state.routes import NOTHING_YET, RouteStore, SubscriptionOptions, number_of

MAX_REMEMBERED = 100_000
"""Targets of the plans that are remembered, all together."""
MAX_REMEMBERED_TOPIC = 1024
MAX_REMEMBERED_NODE_PLANS = 10_000
_WIRE_PREFIX = f"{WIRE}/"

Wanted = tuple[int, tuple[str, ...]]
"""The QoS that a client gets a message with at the most, 1 or 2, and the filters for which it gets it."""


class Plan(NamedTuple):
    """Who gets what is published to a topic, apart from this node's own connections."""

    nodes: tuple[str, ...]
    """Nodes that get messages of QoS 1 and 2."""
    nodes_qos_0: tuple[str, ...]
    """Nodes that get messages of QoS 0."""
    queues: dict[str, Wanted]
    """By client id of a persistent session. Those who want the same share it."""

    def beyond(self, other: "Plan") -> "Plan":
        """Those who are not in the other plan."""
        return Plan(
            tuple(node for node in self.nodes if node not in other.nodes),
            tuple(node for node in self.nodes_qos_0 if node not in other.nodes_qos_0),
            {client: queue for client, queue in self.queues.items() if client not in other.queues},
        )


class Routes:
    """The replica; empty until `update`."""

    def __init__(self, *, store: RouteStore, kinds: Kinds, identity: Identity) -> None:
        self._kinds = kinds
        self._store = store
        self._identity = identity
        self._tables = _Tables(FilterTable(), FilterTable())
        self._plans: dict[str, Plan] = {}
        self._node_plans: dict[str, Plan] = {}
        self._versions: dict[str, set[str]] = {}
        """Topics of `_plans` that versions of an application publish to, by the name that people see."""
        self._remembered = 0
        self._updating = asyncio.Lock()
        self.version = ""
        """Id of the newest change that is in here; empty before the first `update`."""

    def plan(self, topic: str) -> Plan:
        """Who gets what is published to a topic.

        Where it is a version of an application that publishes to it, also those who have subscribed to the name that
        people see: whom the version is for is chosen when it is delivered.
        """
        plan = self._plans.get(topic)
        if plan is None:
            plan = self._find(topic)
            if self._remembered > MAX_REMEMBERED:
                self.forget_plans()
            if len(topic) <= MAX_REMEMBERED_TOPIC:
                self._plans[topic] = plan
                if topic.startswith(_WIRE_PREFIX) and (seen := public_name(topic)) is not None:
                    self._versions.setdefault(seen[0], set()).add(topic)
                self._remembered += 1 + len(plan.nodes_qos_0) + len(plan.queues)
        return plan

    def nodes(self, topic: str) -> Plan:
        """The same without queues, of which there may be very many; for states, which no application publishes."""
        plan = self._node_plans.get(topic)
        if plan is None:
            if len(self._node_plans) >= MAX_REMEMBERED_NODE_PLANS:
                self._node_plans.clear()
            plan = self._node_plans[topic] = Plan(*self._find_nodes(topic), {})
        return plan

    def ingest_wanted(self, topic: str) -> bool:
        """Whether another node or a queue gets what is published to an ingest topic."""
        plan = self.plan(topic)
        return bool(plan.nodes_qos_0 or plan.queues)

    def forget_plans(self) -> None:
        """Find each of them anew: this node has become another, for example."""
        self._forget_whole_plans()
        self._node_plans.clear()

    def _forget_whole_plans(self) -> None:
        self._plans.clear()
        self._versions.clear()
        self._remembered = 0

    def apply(self, entry_id: bytes, changes: dict[bytes, bytes]) -> bool:
        """Take up an entry of the log; False where one before it is missing."""
        version = entry_id.decode()
        if number_of(version) <= number_of(self.version):
            return True
        if number_of(version) != number_of(self.version) + 1:
            return False
        for field, stored in changes.items():
            try:
                self._set(self._tables, field.decode(), SubscriptionOptions.decode(stored) if stored else None)
            except (ValueError, IndexError):
                # No script of ours wrote it; it goes with the log's oldest entries.
                continue
        self.version = version
        return True

    async def update(self) -> None:
        """Take up all that has changed. Raises UnavailableError."""
        async with self._updating:
            if not self.version:
                await self._reload()
            while True:
                known = self.version
                found, is_all = await self._store.changes(known)
                # That the change which we have last is still there says that there is none missing in between.
                whole = known == NOTHING_YET or (bool(found) and found[0][0] == known.encode())
                if not whole or not all(self.apply(*entry) for entry in found):
                    await self._reload()
                elif is_all:
                    return

    async def _reload(self) -> None:
        version = await self._store.newest_version()
        tables = _Tables(FilterTable(), FilterTable())
        cursor = 0
        while True:
            # What changes meanwhile is in the log after `version`, and each entry says how things are, not what to add.
            cursor, found = await self._store.page(cursor)
            for field, stored in found.items():
                try:
                    self._set(tables, field.decode(), SubscriptionOptions.decode(stored))
                except (ValueError, IndexError):
                    await self._store.forget(field)
            if not cursor:
                break
        self._tables = tables
        self.forget_plans()
        self.version = version

    def _set(self, tables: "_Tables", field: str, options: SubscriptionOptions | None) -> None:
        target, _, topic_filter = field.partition("\0")
        if not topic_filter:
            raise ValueError("a route without a filter")
        of_nodes = target[0] == "n"
        table = tables.nodes if of_nodes else tables.queues
        if options is None:
            table.remove(topic_filter, target[2:])
        else:
            table.set(topic_filter, target[2:], options)
        if "+" in topic_filter or "#" in topic_filter:
            self._forget_whole_plans()
            if of_nodes:
                self._node_plans.clear()
        else:
            self._plans.pop(topic_filter, None)
            self._node_plans.pop(topic_filter, None)
            for topic in self._versions.pop(topic_filter, ()):
                self._plans.pop(topic, None)

    def _find(self, topic: str) -> Plan:
        queues: dict[str, Wanted] = {}
        several: dict[tuple[Wanted, Wanted], Wanted] = {}
        for options, topic_filter, clients in self._matches(self._tables.queues, topic):
            wanted = (options.qos, (topic_filter,))
            if not queues:
                queues = dict.fromkeys(clients, wanted)
                continue
            for client in clients:
                known = queues.setdefault(client, wanted)
                if known is not wanted:
                    both = several.get((known, wanted))
                    if both is None:
                        both = several[known, wanted] = (max(known[0], wanted[0]), (*known[1], topic_filter))
                    queues[client] = both
        return Plan(*self._find_nodes(topic), queues)

    def _find_nodes(self, topic: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        nodes: dict[str, int] = {}
        for options, _, names in self._matches(self._tables.nodes, topic):
            for name in names:
                nodes[name] = max(nodes.get(name, 0), options.qos)
        nodes.pop(self._identity.node, None)
        return tuple(node for node, qos in nodes.items() if qos), tuple(nodes)

    def _matches(self, table: FilterTable, topic: str) -> Iterator[Match]:
        if topic.startswith(_WIRE_PREFIX):
            yield from self._matches_of_version(table, topic)
            return
        positions, named = self._kinds.ingest_kind(topic) is not None, must_be_named(topic)
        for match in table.match(topic):
            if match.options.positions or not (positions or (named and match.topic_filter[0] in "+#")):
                yield match

    def _matches_of_version(self, table: FilterTable, topic: str) -> Iterator[Match]:
        """Services that look at versions themselves, and all who see what they publish."""
        services = [match for match in table.match(topic) if match.options.positions]
        yield from services
        seen = public_name(topic)
        if seen is not None:
            known = {match.topic_filter for match in services}
            for match in self._matches(table, seen[0]):
                if not (match.options.positions and match.topic_filter in known):
                    yield match


class _Tables(NamedTuple):
    nodes: FilterTable
    queues: FilterTable
