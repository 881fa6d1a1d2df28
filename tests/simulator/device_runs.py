"""Long runs of a device by chance: a driver that is mostly right, and a world that often is not."""

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from simulator.device import Command, Connect, Device, Disconnect, FetchOutline, Policy, Publish, WakeAt
from simulator.fix import Fix
from simulator.outline import Rings
from tests.simulator.device_steps import START, VECTORS

OUTLINES: list[Rings | None] = [None, *VECTORS["outlines"].values()]
POLICY = Policy(unsent_max=12, unsent_age_seconds=900, collection_max=4, backoff_seconds=4, linger_seconds=120)
Fact = dict[str, Any]


def told_to(device: Device, fact: Fact) -> list[Command]:
    """What the device does about a fact, which is plain JSON, so that its twin can be told the same."""
    match fact["fact"]:
        case "fix":
            return device.fix(Fix(**fact["fix"]), fact["now"])
        case "outline":
            return device.outline(fact["rings"], fact["etag"], fact["now"])
        case "lost":
            return device.lost(fact["now"], fact["chance"])
        case "acknowledged":
            return device.acknowledged(fact["packet"], fact["now"])
        case "connected":
            return device.connected(fact["now"])
        case _:
            return device.tick(fact["now"])


def plain(command: Command) -> dict[str, Any]:
    """A command as the twin writes it, its payload decoded."""
    match command:
        case Connect():
            return {"does": "connect"}
        case Disconnect():
            return {"does": "disconnect"}
        case FetchOutline(etag):
            return {"does": "fetch", "etag": etag}
        case WakeAt(at_ms):
            return {"does": "wake", "at_ms": at_ms}
        case Publish():
            message = json.loads(base64.b64decode(command.payload, validate=True))
            return {**asdict(command), "payload": message, "does": "publish"}


def run(seed: int, facts: int) -> Iterator[tuple[Fact, list[Command], Device]]:
    """A device's life: each fact, and what came of it."""
    chance = random.Random(seed)  # noqa: S311 - the same at every run
    device, now, packet = Device("phone-7", "mobile-iotp", POLICY), START, 0
    waiting: list[Fact] = []
    place = [-8.57, 52.675]
    for _ in range(facts):
        now = max(0, now + chance.choice([0, 400, 1000, 3000, 6000, 6000, 61_000]))
        if chance.random() < 0.01:
            now = max(0, now + chance.choice([-3_600_000, -20_000, 400_000]))
        if waiting and chance.random() < 0.6:
            fact = waiting.pop(0)
        else:
            place = [at + chance.uniform(-0.002, 0.002) for at in place]
            if chance.random() < 0.1:
                place = [chance.uniform(-8.585, -8.545), chance.uniform(52.665, 52.685)]
            fact = _by_chance(chance, place, now, packet)
        fact["now"] = now
        commands = told_to(device, fact)
        for command in commands:
            if isinstance(command, Publish):
                packet = command.packet
            waiting += _answers(chance, command)
        yield fact, commands, device


def _answers(chance: random.Random, command: Command) -> list[Fact]:
    match command:
        case Connect():
            if chance.random() < 0.7:
                return [{"fact": "connected"}]
            return [{"fact": "lost", "chance": chance.random()}]
        case Publish(packet):
            return [{"fact": "acknowledged", "packet": packet}] if chance.random() < 0.8 else []
        case FetchOutline() if chance.random() < 0.9:
            number = chance.choice([1, 1, 1, 2, 3, 4, 0])
            return [{"fact": "outline", "rings": OUTLINES[number], "etag": f"e{number}" if number else None}]
    return []


def _by_chance(chance: random.Random, place: list[float], now: int, packet: int) -> Fact:
    kind = chance.random()
    if kind < 0.8:
        at_ms = max(0, now + chance.choice([0, 0, 0, -5000, -100_000, 30_000]))
        fix: Fact = {"longitude": place[0], "latitude": place[1], "at_ms": at_ms}
        for name in ("altitude", "accuracy", "speed", "heading"):
            if chance.random() < 0.3:
                fix[name] = chance.uniform(0, 40)
        return {"fact": "fix", "fix": fix}
    if kind < 0.86:
        return {"fact": "lost", "chance": chance.random()}
    if kind < 0.9:
        return {"fact": "acknowledged", "packet": packet - chance.randrange(3)}
    if kind < 0.92:
        return {"fact": "connected"}
    return {"fact": "tick"}
