"""A Redis Cluster of six processes: three masters, and a replica of each, which takes over when its master is gone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import redis
from redis.crc import key_slot

from tests.redis_servers.process import HOST, RedisProcess, free_ports, until

MASTERS = 3
SLOTS = 16384
NODE_TIMEOUT_MS = 2000
"""After which a member that does not answer is taken for dead; in a campus it is 15 s."""
_KEYS_AT_ONCE = 100


class RedisCluster:
    """Six servers. Who is a master changes when one is killed; `masters` says who is now."""

    def __init__(
        self,
        executable: str,
        folder: Path,
        *settings: str,
        node_timeout_ms: int = NODE_TIMEOUT_MS,
        replicas: bool = True,
    ) -> None:
        """`settings` are further arguments of each server. Without `replicas` there are three servers."""
        arguments = [
            *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
            *("--cluster-node-timeout", str(node_timeout_ms), "--cluster-replica-validity-factor", "0"),
            *("--cluster-migration-barrier", "10"),  # no replica leaves its master for another's
            *("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
            *settings,
        ]
        self.members = [
            RedisProcess(executable, folder / str(number), port, *arguments)
            for number, port in enumerate(free_ports(2 * MASTERS if replicas else MASTERS))
        ]

    @property
    def url(self) -> str:
        """Its address: all members, for any of them may be gone."""
        return f"redis+cluster://{','.join(member.address for member in self.members)}"

    @property
    def masters(self) -> list[RedisProcess]:
        """The members that run, answer, and have slots; in the order of their slots."""
        return [member for member, _ in sorted(self._first_slots(), key=lambda found: found[1])]

    @property
    def replicas(self) -> list[RedisProcess]:
        """The members that run, and follow one of the masters."""
        masters = self.masters
        return [member for member in self.members if member.is_up and member not in masters]

    def start(self) -> None:
        """Make the cluster, and return once all six are well."""
        for member in self.members:
            member.start()
        masters, replicas = self.members[:MASTERS], self.members[MASTERS:]
        for epoch, member in enumerate(self.members, 1):
            member.command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for number, master in enumerate(masters):
            # All of them one by one: Redis 6.2 has no ADDSLOTSRANGE.
            master.command("CLUSTER", "ADDSLOTS", *range(SLOTS * number // MASTERS, SLOTS * (number + 1) // MASTERS))
        for member in self.members[1:]:
            self.members[0].command("CLUSTER", "MEET", HOST, member.port)
        until(lambda: all(len(_nodes(member)) == len(self.members) for member in self.members), "all members have met")
        for master, replica in zip(masters, replicas, strict=False):
            replica.command("CLUSTER", "REPLICATE", _id(master))
        self.until_well()

    def stop(self) -> None:
        """End all of them, without a word to anybody."""
        for member in self.members:
            member.kill()

    def is_well(self) -> bool:
        """Whether all six run, agree on who serves which slot, and all replicas follow a master."""
        if not all(member.is_up for member in self.members):
            return False
        try:
            views = [_view(member) for member in self.members]
            info = [member.info("cluster info") for member in self.members]
            roles = [member.info("replication") for member in self.members]
        except redis.RedisError:
            return False
        masters = [role for role in roles if role["role"] == "master"]
        return (
            all(view == views[0] for view in views)
            and all(each["cluster_state"] == "ok" and each["cluster_slots_ok"] == str(SLOTS) for each in info)
            and len(masters) == MASTERS
            and all(role["connected_slaves"] == str(len(self.members) // MASTERS - 1) for role in masters)
            and all(role["master_link_status"] == "up" for role in roles if role["role"] == "slave")
        )

    def until_well(self) -> None:
        """Wait until it is; fails with what the members say."""
        try:
            until(self.is_well, "the cluster is well")
        except AssertionError as error:
            told = [f"{member.address}:\n{member.told()[-600:]}" for member in self.members]
            raise AssertionError("\n".join([str(error), *told])) from error

    def heal(self) -> None:
        """Start again who was killed, let go on who was paused, and wait until all is well."""
        for member in self.members:
            if member.is_running:
                member.resume()
            else:
                member.start()
        self.until_well()

    def reset(self) -> None:
        """For the next test: all members run, no slot is on its way, and there is no key."""
        self.heal()
        for master in self.masters:
            for slot, _ in _on_the_way(master):
                master.command("CLUSTER", "SETSLOT", slot, "STABLE")
            master.command("FLUSHALL")

    def master_of(self, key: str) -> RedisProcess:
        """The master that serves the slot of a key, as the members that answer have it."""
        slot = key_slot(key.encode())

        def found() -> RedisProcess | None:
            for member in filter(lambda each: each.is_up, self.members):
                try:
                    for first, last, (_, port, *_), *_ in cast("Any", member.command("CLUSTER SLOTS")):
                        if first <= slot <= last:
                            return self._by_port(port)
                except redis.RedisError:
                    continue
            return None

        return cast("RedisProcess", until(found, f"somebody serves slot {slot}"))

    def other_master(self, key: str) -> RedisProcess:
        """A master that does not serve the slot of a key: where it can be moved to, whatever was moved before."""
        source = self.master_of(key)
        return next(master for master in self.masters if master is not source)

    def kill_master_of(self, key: str) -> RedisProcess:
        """End the master of a key with SIGKILL; who it was, for `start`."""
        master = self.master_of(key)
        master.kill()
        return master

    def until_taken_over(self, gone: RedisProcess) -> None:
        """Wait until another member serves what `gone` did, and the others agree that all is served."""

        def taken_over() -> bool:
            alive = [member for member in self.members if member.is_up and member is not gone]
            try:
                well = all(member.info("cluster info")["cluster_state"] == "ok" for member in alive)
                return well and all(not _serves(member, gone.port) for member in alive)
            except redis.RedisError:
                return False

        until(taken_over, f"another takes over from {gone.address}")

    def begin_move(self, slot: int, target: RedisProcess) -> RedisProcess:
        """Say that a slot is on its way to another master: both answer with ASK and TRYAGAIN; the source."""
        source = next(member for member in self.masters if slot in _slots(member))
        assert source is not target, f"{target.address} has slot {slot} already"
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(target))
        return source

    def move_keys(self, slot: int, source: RedisProcess, target: RedisProcess, *, limit: int | None = None) -> int:
        """Move keys of a slot that is on its way, all or at most `limit`; how many."""
        moved = 0
        while limit is None or moved < limit:
            count = _KEYS_AT_ONCE if limit is None else min(_KEYS_AT_ONCE, limit - moved)
            keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, count)
            if not keys:
                break
            source.command("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)
            moved += len(keys)
        return moved

    def finish_move(self, slot: int, target: RedisProcess) -> None:
        """Give a slot to the master that has all of its keys by now, and tell the others."""
        for member in sorted(self.masters, key=lambda each: each is not target):
            member.command("CLUSTER", "SETSLOT", slot, "NODE", _id(target))

    def move_slot(self, slot: int, target: RedisProcess) -> int:
        """Move a slot with all that is in it, while others write to it; the number of keys."""
        source = self.begin_move(slot, target)
        moved = self.move_keys(slot, source, target)
        self.finish_move(slot, target)
        return moved

    def _first_slots(self) -> Iterator[tuple[RedisProcess, int]]:
        for member in self.members:
            if member.is_up:
                with suppress(redis.RedisError):  # it is about to end
                    if slots := _slots(member):
                        yield member, min(slots)

    def _by_port(self, port: int) -> RedisProcess:
        return next(member for member in self.members if member.port == port)


def _id(member: RedisProcess) -> str:
    return cast("str", member.command("CLUSTER MYID"))


def _nodes(member: RedisProcess) -> dict[str, dict[str, Any]]:
    """What it knows of all, by address."""
    return cast("dict[str, dict[str, Any]]", member.command("CLUSTER NODES"))


def _serves(member: RedisProcess, port: int) -> bool:
    """Whether a member says that the one of `port` serves slots."""
    return bool(_nodes(member).get(f"{HOST}:{port}", {}).get("slots"))


def _own(member: RedisProcess) -> dict[str, Any]:
    return next(node for node in _nodes(member).values() if "myself" in node["flags"])


def _slots(member: RedisProcess) -> set[int]:
    """The slots that a member says that it serves."""
    return {slot for first, *last in _own(member)["slots"] for slot in range(int(first), int((last or [first])[0]) + 1)}


def _on_the_way(member: RedisProcess) -> Sequence[tuple[int, str]]:
    return [(int(each["slot"]), each["node_id"]) for each in _own(member).get("migrations", [])]


def _view(member: RedisProcess) -> dict[str, Any]:
    """Who serves what and follows whom, as a member has it."""
    return {
        address: (node["slots"], node["master_id"], "fail" in node["flags"], node["connected"])
        for address, node in _nodes(member).items()
    }


@contextmanager
def redis_cluster(
    executable: str, *settings: str, node_timeout_ms: int = NODE_TIMEOUT_MS, replicas: bool = True
) -> Iterator[RedisCluster]:
    """A running cluster; it ends with the context."""
    with TemporaryDirectory(prefix="campus-cluster-") as folder:
        cluster = RedisCluster(executable, Path(folder), *settings, node_timeout_ms=node_timeout_ms, replicas=replicas)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
