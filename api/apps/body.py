"""What is answered about applications, made of what Redis has."""

from collections.abc import Iterable, Mapping
from typing import Any

from core.clock import format_rfc3339
from core.versions import BROKER, Route
from state.apps import ANSWER_EDGES, Canary, Change, Counters, Figures, Instance, Seen

_HEADERS_NOTE = "Headers hold for a request over HTTP, not over MQTT: whoever is chosen by one may see two versions."
_BROKER_NOTE = "Who is connected stays on the version that they have until they connect again."
_MOVE_NOTE = "Connections to a version that nobody gets are ended, a tenth each second."


def app_body(
    app: str,
    *,
    route: Route | None,
    seen: Seen | None,
    counted: Mapping[str, Counters],
    canary: Canary | None,
    admin: bool,
) -> dict[str, Any]:
    """An application. `counted` has counters by version; addresses are for an administrator alone."""
    instances = [each for each in seen.instances if each.app == app] if seen else []
    shares = route.shares if route else {}
    versions = sorted({*shares, *(each.version for each in instances)})
    return {
        "app": app,
        "number": route.number if route else None,
        "versions": [
            _version(
                version,
                share=shares.get(version, 0),
                instances=[each for each in instances if each.version == version],
                counters=counted.get(version),
                admin=admin,
            )
            for version in versions
        ],
        "canary": canary_body(canary) if canary else None,
        "seen_at": seen_at(seen),
    }


def seen_at(seen: Seen | None) -> str | None:
    """When the platform was asked what runs."""
    return format_rfc3339(seen.at) if seen else None


def _version(
    version: str, *, share: int, instances: list[Instance], counters: Counters | None, admin: bool
) -> dict[str, Any]:
    return {
        "version": version,
        "share": share,
        "healthy": any(each.healthy for each in instances),
        "instances": [
            {
                "name": each.name,
                "address": _address(each) if admin else None,
                "healthy": each.healthy,
                "since": format_rfc3339(each.since),
            }
            for each in instances
        ],
        "figures": None
        if counters is None
        else {"answers": counters.answers, "errors": counters.errors, "p95_ms": _p95(counters.by_time)},
    }


def _address(instance: Instance) -> str:
    host = f"[{instance.address}]" if ":" in instance.address else instance.address
    return f"{host}:{instance.port}"


def _p95(by_time: tuple[int, ...]) -> int | None:
    """The edge of the bucket that has the 95th percentile; None without answers, and for the last bucket."""
    total, passed = sum(by_time), 0
    for edge, count in zip(ANSWER_EDGES, by_time, strict=False):
        passed += count
        if total and passed * 100 >= total * 95:
            return edge
    return None


def counted(app: str, figures: Iterable[Figures], places: Mapping[str, int]) -> dict[str, Counters]:
    """Counters by version of an application, those of all HAProxies together."""
    told = [*figures]
    found: dict[str, Counters] = {}
    for name, place in places.items():
        of, _, version = name.partition("/")
        parts = [each.places[place] for each in told if place in each.places]
        if of == app and parts:
            found[version] = Counters(
                answers=sum(part.answers for part in parts),
                errors=sum(part.errors for part in parts),
                by_time=tuple(map(sum, zip(*(part.by_time for part in parts if part.by_time), strict=False))),
            )
    return found


def canary_body(canary: Canary) -> dict[str, Any]:
    """A canary."""
    return {
        "app": canary.app,
        "to": canary.version,
        "state": canary.state,
        "why": canary.why,
        "steps": canary.steps,
        "step": canary.step,
        "hold_seconds": canary.hold_seconds,
        "hold_requests": canary.hold_requests,
        "slower_by": canary.slower_by,
        "measure": canary.measure or None,
        "before": canary.before,
        "started_at": format_rfc3339(canary.started_at),
        "step_at": format_rfc3339(canary.step_at) if canary.step_at else None,
        "by": canary.by,
    }


def rule_body(route: Route, *, admin: bool) -> dict[str, Any]:
    """A rule. Users are named to an administrator alone."""
    notes = [_HEADERS_NOTE] if route.headers else []
    if route.app == BROKER:
        notes.append(_MOVE_NOTE if route.move else _BROKER_NOTE)
    return {
        "app": route.app,
        "number": route.number,
        "shares": route.shares,
        "users": route.users if admin else None,
        "roles": route.roles,
        "headers": route.headers,
        "move": route.move,
        "notes": notes,
    }


def change_body(change: Change, *, admin: bool) -> dict[str, Any]:
    """One change of a rule."""
    return {
        "at": format_rfc3339(change.at),
        "by": change.by,
        "why": change.why,
        "before": rule_body(change.before, admin=admin) if change.before else None,
        "after": rule_body(change.after, admin=admin) if change.after else None,
    }
