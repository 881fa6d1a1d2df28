"""The language of `simulator/device_vectors.json`: facts and commands as text."""

import json
from pathlib import Path
from typing import Any

from core.clock import parse_rfc3339
from simulator import device as device_module

FILE = Path(device_module.__file__).with_name("device_vectors.json")
VECTORS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
OUTLINES: dict[str, Any] = {"none": None, **VECTORS["outlines"]}
PLACES: dict[str, list[float]] = VECTORS["places"]
START: int = VECTORS["start_ms"]


def steps_of(vector: dict[str, Any]) -> list[list[str]]:
    """A vector's steps from the beginning on: a fact, and the commands that come of it."""
    return [*(VECTORS["beginnings"][vector["after"]] if "after" in vector else []), *vector["steps"]]


def at(text: str) -> int:
    return START + round(float(text) * 1000)


def fact_of(step: str) -> dict[str, Any]:
    """A fact as plain JSON, as `tests.simulator.device_runs` tells it."""
    time, name, *words = step.split()
    fact: dict[str, Any] = {"fact": name, "now": at(time)}
    match name, words:
        case "tick" | "connected", []:
            return fact
        case "acknowledged", [packet]:
            return fact | {"packet": int(packet)}
        case "lost", [chance]:
            return fact | {"chance": float(chance)}
        case "outline", [outline, etag]:
            return fact | {"rings": OUTLINES[outline], "etag": None if etag == "-" else etag}
        case "fix", [place, *said]:
            where, _, moment = place.partition("@")
            longitude, latitude = PLACES[where]
            accuracy = float(said[0].removeprefix("accuracy=")) if said else None
            at_ms = at(moment) if moment else fact["now"]
            return fact | {"fix": {"longitude": longitude, "latitude": latitude, "at_ms": at_ms, "accuracy": accuracy}}
    raise AssertionError(step)


def told(command: dict[str, Any]) -> str:
    """A command as the vectors write it; it comes as `plain` makes it."""
    match command["does"]:
        case "fetch":
            return f"fetch {command['etag'] or '-'}"
        case "wake":
            return f"wake {seconds(command['at_ms'])}"
        case "publish":
            assert command["topic"] == VECTORS["topic"]
            return " ".join([f"publish {command['packet']}", *map(_named, features(command["payload"]))])
        case does:
            return str(does)


def seconds(moment: int) -> str:
    return f"{(moment - START) / 1000:.3f}".rstrip("0").rstrip(".")


def features(message: dict[str, Any]) -> list[dict[str, Any]]:
    """One Feature, or those of a FeatureCollection of several."""
    if message["type"] == "Feature":
        return [message]
    assert set(message) == {"type", "features"}
    assert len(message["features"]) > 1
    return list(message["features"])


def _named(feature: dict[str, Any]) -> str:
    assert feature["properties"]["device_id"] == VECTORS["device_id"]
    [name] = [name for name, place in PLACES.items() if place == feature["geometry"]["coordinates"]]
    return f"{name}@{seconds(parse_rfc3339(feature['properties']['timestamp']))}"
